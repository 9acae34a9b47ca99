/**
 * Turns the `.ts` module specifiers of emitted JavaScript into `.js` ones.
 *
 * `deno transpile` strips types and leaves specifiers as they were written, for which there would be no file. A
 * specifier is told from any other string by the tokens around it, so the text is split into tokens: what stands in a
 * comment, in a string or in a template is never touched. It knows nothing of files.
 *
 * @module
 */

/** One token that matters: a word, a string literal or a punctuator, and where it stands. */
interface Token {
  readonly text: string;
  readonly start: number;
}

const SPACE_OR_COMMENT = /(?:\s+|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;
const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /\.?\d[\w.]*/y;
const STRING = /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y;
const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** The characters of a template up to its end or to its next substitution. */
const TEMPLATE_CHARACTERS = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;

/** Words after which a slash begins a regular expression; after any other word it divides. */
const WORDS_BEFORE_EXPRESSION: ReadonlySet<string> = new Set(
  "await case delete do else extends in instanceof new of return throw typeof void yield".split(" "),
);

/**
 * Rewrites the relative `.ts` specifiers of a module: of imports and exports, of `import()` and `import.meta.resolve()`
 * with a literal, and of `new URL(literal, import.meta.url)`.
 *
 * @param source JavaScript, as `deno transpile` emits it.
 * @returns The same text, line for line, with `.js` in those specifiers.
 * @throws {SyntaxError} The text could not be split into tokens.
 */
export function rewriteSpecifiers(source: string): string {
  const tokens = tokenize(source);
  let result = "";
  let copiedUpTo = 0;
  tokens.forEach((token, index) => {
    if (!/^["']\.{1,2}\/.*\.ts["']$/.test(token.text) || !isSpecifier(tokens, index)) return;
    const suffixAt = token.start + token.text.length - 4;
    result += source.slice(copiedUpTo, suffixAt) + ".js";
    copiedUpTo = suffixAt + 3;
  });
  return result + source.slice(copiedUpTo);
}

function isSpecifier(tokens: readonly Token[], index: number): boolean {
  const before = (count: number): string =>
    tokens.slice(Math.max(0, index - count), index).map((token) => token.text).join(" ");
  const after = tokens.slice(index + 1, index + 7).map((token) => token.text).join(" ");
  // A word and a string stand side by side only after a keyword, and `from` is one only in imports and exports.
  if (before(1) === "from" || before(1) === "import" || before(2) === "import (") return true;
  if (before(6) === "import . meta . resolve (") return true;
  return before(3) === "new URL (" && after === ", import . meta . url";
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  // For each template substitution that is open: how many braces were open where it began.
  const substitutions: number[] = [];
  let openBraces = 0;
  let position = 0;

  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = position;
    const text = pattern.exec(source)?.[0] ?? null;
    if (text !== null) position += text.length;
    return text;
  };
  const takeTemplate = (): void => {
    const characters = take(TEMPLATE_CHARACTERS);
    if (characters === null) throw new SyntaxError(`The template at offset ${position} has no end.`);
    const isComplete = characters.endsWith("`");
    tokens.push({ text: isComplete ? "`" : "{", start: position - 1 });
    if (!isComplete) substitutions.push(openBraces++);
  };

  while (position < source.length) {
    if (take(SPACE_OR_COMMENT) !== null) continue;
    const start = position;
    const character = source[position];
    if (character === "/" && beginsExpression(tokens)) {
      if (take(REGULAR_EXPRESSION) === null) throw unexpected(source, start);
      tokens.push({ text: ")", start });
      continue;
    }
    const text = take(WORD) ?? take(STRING) ?? take(NUMBER);
    if (text !== null) {
      tokens.push({ text, start });
      continue;
    }
    if (character === '"' || character === "'") throw unexpected(source, start);
    position++;
    if (character === "`") {
      takeTemplate();
      continue;
    }
    if (character === "{") openBraces++;
    if (character === "}" && --openBraces === substitutions.at(-1)) {
      substitutions.pop();
      takeTemplate();
      continue;
    }
    tokens.push({ text: character, start });
  }
  return tokens;
}

/** Whether a slash after these tokens begins a regular expression and does not divide. */
function beginsExpression(tokens: readonly Token[]): boolean {
  const previous = tokens.at(-1)?.text;
  if (previous === undefined) return true;
  if (!/^[\p{ID_Start}$_#]/u.test(previous)) return !/^[\d"'`)\]}.]/.test(previous);
  return WORDS_BEFORE_EXPRESSION.has(previous) && tokens.at(-2)?.text !== ".";
}

function unexpected(source: string, position: number): SyntaxError {
  return new SyntaxError(`Cannot read the line ${source.slice(0, position).split("\n").length} of emitted JavaScript.`);
}
