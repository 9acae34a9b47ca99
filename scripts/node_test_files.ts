/**
 * A reporter of `node:test` that prints a line for each file whose tests have ended, which none of Node's own does.
 *
 * @module
 */

/** What Node tells of a test; there is more. */
interface TestEvent {
  readonly type: string;
  readonly data: { readonly file?: string; readonly nesting?: number };
}

/** Prints the files. Node takes a reporter as the default export of a module. */
export default async function* reportFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let last: string | undefined;
  for await (const { type, data: { file, nesting } } of events) {
    if ((type !== "test:pass" && type !== "test:fail") || nesting !== 0 || file === last) continue;
    last = file;
    yield `file: ${file}\n`;
  }
}
