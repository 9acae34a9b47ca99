/**
 * A page of the documentation, taken apart: its code blocks, its links and the anchors of its headings.
 *
 * What a block's first line of Markdown says decides what is done with it:
 *
 *     ts, js            type-checked (ts) and run by Deno; what it serves gets a request
 *     ts bun, js node   run by Bun or Node
 *     ts file           written beside the others, for a block that names it
 *     sh                shown; the command lines of `trivet` and `deno task` in it are checked
 *     sh run            run
 *     text output       shown; the block before it must have printed it
 *     anything else     shown
 *
 * A block whose first line is a comment with a file's name is written under that name, so that others can name it.
 * Nothing is run here.
 *
 * @module
 */

/** A code block. */
export interface Block {
  /** The line of the page at which its code begins. */
  readonly line: number;
  /** `ts`, `sh` and so on; empty if the page does not say. */
  readonly language: string;
  /** What stands behind the language. */
  readonly words: readonly string[];
  /** The name of the file that it is. */
  readonly fileName: string;
  readonly code: string;
}

/** A link to something in the repository. */
export interface Link {
  readonly line: number;
  /** As it is written. */
  readonly target: string;
}

/** A page. */
export interface Page {
  /** Its path in the repository. */
  readonly path: string;
  readonly blocks: readonly Block[];
  readonly links: readonly Link[];
  readonly anchors: ReadonlySet<string>;
}

const FENCE = /^( *)(`{3,}|~{3,})(.*)$/;
const HEADING = /^#{1,6} +(.*?)(?: +#+)?$/;
const LINK = /\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?: +"[^"]*")?\)/g;
const REFERENCE = /^\[[^\]]+\]: +(\S+)/;
const ATTRIBUTE = /\b(?:href|src|srcset)="([^"]+)"/g;
const FILE_NAME = /^(?:\/\/|#) ([\w./-]+\.\w+)$/;

/** Takes a page apart. */
export function readPage(path: string, text: string): Page {
  const blocks: Block[] = [];
  const links: Link[] = [];
  const anchors = new Set<string>();
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const fence = FENCE.exec(lines[i]);
    if (fence !== null) {
      const end = lines.findIndex((line, at) => at > i && line.trim().startsWith(fence[2]));
      if (end < 0) throw new Error(`${path}:${i + 1}: this code block does not end.`);
      blocks.push(
        readBlock(fence[3].trim(), i + 2, lines.slice(i + 1, end).map((line) => line.slice(fence[1].length))),
      );
      i = end;
      continue;
    }
    const heading = HEADING.exec(lines[i]);
    if (heading !== null) addAnchor(anchors, heading[1]);
    const line = lines[i].replace(/`[^`]*`/g, "``");
    for (const found of [...line.matchAll(LINK), ...line.matchAll(ATTRIBUTE)]) {
      links.push({ line: i + 1, target: found[1] });
    }
    const reference = REFERENCE.exec(line);
    if (reference !== null) links.push({ line: i + 1, target: reference[1] });
  }
  return { path, blocks, links, anchors };
}

function readBlock(about: string, line: number, code: readonly string[]): Block {
  const [language, ...words] = about.split(/\s+/);
  const name = FILE_NAME.exec(code[0] ?? "")?.[1];
  return { line, language, words, fileName: name ?? `block_${line}.${language}`, code: code.join("\n") + "\n" };
}

/** As GitHub makes it of a heading: a second one of the same words gets a number. */
function addAnchor(anchors: Set<string>, heading: string): void {
  const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
  const anchor = plain.replace(/[^\p{L}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-");
  let unique = anchor;
  for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
  anchors.add(unique);
}
