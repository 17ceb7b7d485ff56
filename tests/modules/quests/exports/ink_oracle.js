// Plays a quest by ink's own runtime: node ink_oracle.js FILE '{"set": {...}, "path": "...", "picks": [[text, ...], ...]}'.
// Prints, for each list of picks, the lines and tags that were shown, and the variables at the end.
const fs = require("fs");
const ink = require(require.resolve("inkjs/full", { paths: [process.env.ORACLE_MODULES] }));

const told = [];
const options = new ink.CompilerOptions(process.argv[2], [], false, (message) => told.push(message));
const json = new ink.Compiler(fs.readFileSync(process.argv[2], "utf8"), options).Compile().ToJson();
const order = JSON.parse(process.argv[3]);
const runs = order.picks.map((picks) => {
  const story = new ink.Story(json);
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
