// Plays an ink file by the language's own runtime: node oracle.js FILE '[[0,1,2],[1]]' prints one transcript a walk.
const fs = require("fs");
const path = require("path");
const { Compiler, CompilerOptions } = require(require.resolve("inkjs/full", { paths: [process.env.ORACLE_MODULES] }));

const file = process.argv[2];
const folder = path.dirname(file);
const handler = {
  ResolveInkFilename: (name) => path.join(folder, name),
  LoadInkFileContents: (name) => fs.readFileSync(name, "utf8"),
};
const told = [];
const options = new CompilerOptions(file, [], false, (message) => told.push(message), handler);
let json = "";
try {
  json = new Compiler(fs.readFileSync(file, "utf8"), options).Compile().ToJson();
} catch (error) {
  process.stdout.write(JSON.stringify({ transcripts: [], told: [String(error), ...told] }));
  process.exit(0);
}
const { Story } = require(require.resolve("inkjs/full", { paths: [process.env.ORACLE_MODULES] }));

const transcripts = JSON.parse(process.argv[3]).map((walk) => {
  const story = new Story(json);
  story.onError = (message) => told.push(message);
  const beats = [];
  for (const pick of [...walk, null]) {
    const lines = [];
    while (story.canContinue) {
      const text = story.Continue().trim();
      if (text) lines.push([text, story.currentTags || []]);
    }
    const choices = story.currentChoices.map((choice) => choice.text);
    beats.push({ lines, choices });
    if (pick === null || choices.length === 0) break;
    story.ChooseChoiceIndex(pick % choices.length);
  }
  return beats;
});
process.stdout.write(JSON.stringify({ transcripts, told }));
