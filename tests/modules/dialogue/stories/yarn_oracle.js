// Plays a Yarn file by another runtime: node yarn_oracle.js FILE '[[0,1,2],[1]]' prints one transcript a walk.
const fs = require("fs");

const text = fs.readFileSync(process.argv[2], "utf8");
const walks = JSON.parse(process.argv[3]);
const bondage = require(require.resolve("@mnbroatch/bondage", { paths: [process.env.ORACLE_MODULES] }));
const kit = bondage.default || bondage;
const transcripts = walks.map((walk) => {
  const runner = new kit.Runner();
  runner.noEscape = true;
  const left = {};
  let here = "";
  const parsed = runner.getParserNodes.bind(runner);
  runner.getParserNodes = (name) => {
    if (here) left[here] = (left[here] || 0) + 1;
    here = name;
    return parsed(name);
  };
  runner.registerFunction("visited", (name) => (left[name] || 0) > 0);
  runner.registerFunction("visited_count", (name) => left[name] || 0);
  runner.load(text);
  const beats = [];
  let lines = [];
  const picks = [...walk];
  const flow = runner.run("Start");
  let step = flow.next();
  while (step.value) {
    const value = step.value;
    if (value instanceof kit.OptionsResult) {
      const open = value.options.map((option, index) => ({ text: option.text.trim(), index, ok: option.isAvailable }));
      const choices = open.filter((option) => option.ok);
      beats.push({ lines, choices: choices.map((option) => option.text) });
      lines = [];
      if (picks.length === 0 || choices.length === 0) return beats;
      value.select(choices[picks.shift() % choices.length].index);
    } else if (value instanceof kit.TextResult) {
      lines.push(value.text.trim());
    }
    step = step.done ? {} : flow.next();
  }
  beats.push({ lines, choices: [] });
  return beats;
});
process.stdout.write(JSON.stringify({ transcripts, told: [] }));
