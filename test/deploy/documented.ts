/**
 * The configurations in `docs/deploy.md`, as they stand there.
 *
 * @module
 */

const PAGE = new URL("../../docs/deploy.md", import.meta.url);
const BLOCK = /^```(\S+) ?(.*)\n([^]*?)^```$/gm;

/** A block of the page. */
export interface DocumentedBlock {
  readonly language: string;
  /** What stands behind the language: the name of the file that the block is. */
  readonly file: string;
  readonly text: string;
}

/** Every block of the page, in order. */
export function documentedBlocks(): readonly DocumentedBlock[] {
  const page = Deno.readTextFileSync(PAGE);
  return [...page.matchAll(BLOCK)].map(([, language, file, text]) => ({ language, file, text }));
}

/** The block that is a file of this name. */
export function documented(file: string): string {
  const block = documentedBlocks().find((block) => block.file === file);
  if (block === undefined) throw new Error(`docs/deploy.md has no block of the file ${file}.`);
  return block.text;
}

/** A text with other words in place of some of its own, each of which must be there. */
export function substitute(text: string, ...pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`${JSON.stringify(from)} is not there any more:\n${result}`);
    return result.replaceAll(from, to);
  }, text);
}
