/**
 * The responses in what a client has received, read in the simplest way there is.
 *
 * @module
 */

export interface ReceivedResponse {
  readonly status: number;
  readonly content: string;
  /** Whether its head says that the connection is closed behind it. */
  readonly saysClose: boolean;
  readonly isWhole: boolean;
}

/**
 * Takes responses apart; informational ones are left out, and what is behind a 101, which is the last one.
 *
 * @param received What came.
 * @param methodOf The method of a request by its number, to which the response at a place belongs.
 * @param endsWell Whether the connection was ended in a way that tells content without framing to be whole.
 * @return What is left behind the last response that is whole, where that is no beginning of another one, is `rest`.
 */
export function responsesIn(received: string, methodOf: (index: number, at: number) => string, endsWell: boolean) {
  const responses: ReceivedResponse[] = [];
  let rest = received;
  while (rest !== "") {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd < 0) break;
    const head = rest.slice(0, headEnd).toLowerCase();
    const status = Number(/^http\/1\.1 (\d{3}) /.exec(head)?.[1]);
    if (!(status >= 100)) throw new Error(`This is no response: ${JSON.stringify(rest.slice(0, 200))}`);
    const behind = rest.slice(headEnd + 4);
    if (status === 101) {
      responses.push({ status, content: "", saysClose: false, isWhole: true });
      return { responses, rest: "" };
    }
    if (status < 200) {
      rest = behind;
      continue;
    }
    const hasContent = methodOf(responses.length, received.length - rest.length) !== "HEAD" && status !== 204 &&
      status !== 304;
    const saysClose = /^connection: close$/m.test(head);
    const { content, length, isWhole } = hasContent ? contentIn(head, behind, endsWell) : NO_CONTENT;
    responses.push({ status, content, saysClose, isWhole });
    rest = behind.slice(length);
    if (!isWhole) break;
  }
  return { responses, rest };
}

const NO_CONTENT = { content: "", length: 0, isWhole: true };

function contentIn(
  head: string,
  behind: string,
  endsWell: boolean,
): { content: string; length: number; isWhole: boolean } {
  if (!/^transfer-encoding: chunked$/m.test(head)) {
    const length = Number(/^content-length: (\d+)$/m.exec(head)?.[1] ?? NaN);
    if (Number.isNaN(length)) {
      if (!/^connection: close$/m.test(head)) throw new Error(`This content has no framing: ${head}`);
      return { content: behind, length: behind.length, isWhole: endsWell };
    }
    return {
      content: behind.slice(0, length),
      length: Math.min(length, behind.length),
      isWhole: behind.length >= length,
    };
  }
  let content = "";
  let at = 0;
  for (;;) {
    const lineEnd = behind.indexOf("\r\n", at);
    if (lineEnd < 0) return { content, length: behind.length, isWhole: false };
    const size = Number.parseInt(behind.slice(at, lineEnd), 16);
    if (!(size >= 0)) throw new Error(`This is no chunk: ${JSON.stringify(behind.slice(at, at + 50))}`);
    at = lineEnd + 2;
    if (size === 0) {
      const trailersEnd = behind.startsWith("\r\n", at) ? at : behind.indexOf("\r\n\r\n", at) + 2;
      const isWhole = trailersEnd >= at;
      return { content, length: isWhole ? trailersEnd + 2 : behind.length, isWhole };
    }
    content += behind.slice(at, at + size);
    if (behind.length < at + size + 2) return { content, length: behind.length, isWhole: false };
    if (behind.slice(at + size, at + size + 2) !== "\r\n") throw new Error("A chunk has no end.");
    at += size + 2;
  }
}
