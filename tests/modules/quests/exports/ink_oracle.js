// Plays a quest by ink's own runtime: node ink_oracle.js FILE '{"set": {...}, "path": "...", "picks": [[text, ...], ...]}'.
// Prints, for each list of picks, the lines and tags that were shown, and the variables at the end.
const fs = require("fs");
const { Compiler, CompilerOptions } = require(require.resolve("inkjs/full", { paths: [process.env.ORACLE_MODULES] }));
const { Story } = require(require.resolve("inkjs/full", { paths: [process.env.ORACLE_MODULES] }));

const told = [];
const file = process.argv[2];
let json = "";
try {
  const files = { ResolveInkFilename: (name) => name, LoadInkFileContents: (name) => fs.readFileSync(name, "utf8") };
  const options = new CompilerOptions(file, [], false, (message) => told.push(message), files);
  json = new Compiler(fs.readFileSync(file, "utf8"), options).Compile().ToJson();
} catch (error) {
  process.stdout.write(JSON.stringify({ runs: [], told: [String(error), ...told] }));
  process.exit(0);
}
const order = JSON.parse(process.argv[3]);
const runs = order.picks.map((picks) => {
  const story = new Story(json);
  story.onError = (message) => told.push(message);
  for (const [name, value] of Object.entries(order.set)) story.variablesState[name] = value;
  const lines = [];
  const offered = [];
  const go = () => {
    while (story.canContinue) {
      const text = story.Continue().trim();
      if (text) lines.push([text, story.currentTags || []]);
    }
    offered.push(story.currentChoices.map((choice) => [choice.text, choice.tags || []]));
  };
  go();
  for (const pick of picks) {
    if (pick.startsWith("set ")) {
      story.variablesState[pick.slice(4)] = true;
      story.ChoosePathString(order.path);
    } else {
      const index = story.currentChoices.findIndex((choice) => choice.text === pick);
      if (index < 0) told.push(`no choice ${pick}`);
      story.ChooseChoiceIndex(index);
    }
    go();
  }
  return { lines, offered, done: order.read.map((name) => story.variablesState[name]) };
});
process.stdout.write(JSON.stringify({ runs, told }));
