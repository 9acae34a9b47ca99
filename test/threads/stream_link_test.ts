/** Streams between threads: how far the sender may be ahead, what is given back as credit, how a stream ends. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  CREDIT_BYTES,
  CreditAccount,
  creditFor,
  ReceivedStream,
  SentStream,
  StreamSender,
  WrittenStream,
} from "../../src/threads/stream_link.ts";
import { TurnShare } from "../../src/web/turn_share.ts";
import { createRandom } from "../support/random.ts";

const KIB = 1024;
/** Never used up: its time stands still. */
const FREE = new TurnShare({ nowMs: () => 0, defer: () => {} });
/** Credit is given back in pieces of at least this size. */
const GRANT_BYTES = CREDIT_BYTES / 4;

/** A chunk that takes so much of the credit: sizes are meant so where nothing else is said. */
function chunkFor(credit: number): Uint8Array {
  return new Uint8Array(credit - creditFor(new Uint8Array(0)));
}

/** Lets promises and streams come to rest. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A sender whose stream a test fills, and what it has said. */
function createSender(share = FREE) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const said: (number | string)[] = [];
  const cancelled: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    cancel: (reason) => void cancelled.push(reason),
  });
  const sender = new StreamSender(stream.getReader(), share, {
    chunk: (bytes) => said.push(creditFor(bytes)),
    end: () => said.push("end"),
    fail: (cause) => said.push(`fail: ${(cause as Error).message}`),
  });
  const give = async (...sizes: number[]): Promise<void> => {
    for (const size of sizes) controller.enqueue(chunkFor(size));
    await settle();
  };
  return { sender, controller, said, cancelled, give };
}

/** Turns of a loop in which each look at the clock takes a millisecond. */
function createTurns() {
  let endTurn = (): void => assert.fail("nothing is to be called at the end of the turn");
  let nowMs = 0;
  return {
    share: new TurnShare({ nowMs: () => nowMs++, defer: (end) => void (endTurn = end) }),
    /** All is said, but not in the first turn. */
    async assertShared(said: readonly unknown[], count: number): Promise<void> {
      assert.ok(said.length > 0 && said.length < count, `${said.length}`);
      for (let turn = 0; turn < 10; turn++) {
        endTurn();
        await settle();
      }
      assert.equal(said.length, count);
    },
  };
}

describe("who sends a stream", () => {
  test("sends chunks as they are, as long as there is credit", async () => {
    const { said, give } = createSender();
    await give(101, 70_000, 105);
    await give(103);
    assert.deepEqual(said, [101, 70_000, 105, 103]);
  });

  const arithmetic: { name: string; give: number[]; grants: number[]; sent: number[] }[] = [
    {
      name: "the credit used up to the last byte is used up",
      give: [CREDIT_BYTES - 200, 200, 200],
      grants: [],
      sent: [CREDIT_BYTES - 200, 200],
    },
    {
      name: "one byte of credit is enough for a whole chunk",
      give: [CREDIT_BYTES - 1, 100_000, 200],
      grants: [],
      sent: [CREDIT_BYTES - 1, 100_000],
    },
    {
      name: "a chunk larger than the credit is sent whole",
      give: [10 * CREDIT_BYTES, 200],
      grants: [],
      sent: [10 * CREDIT_BYTES],
    },
    {
      name: "one byte granted lets one chunk go",
      give: [CREDIT_BYTES, 200, 200],
      grants: [1],
      sent: [CREDIT_BYTES, 200],
    },
    {
      name: "what was sent beyond the credit is owed first",
      give: [CREDIT_BYTES + 1_000, 200],
      grants: [400, 600],
      sent: [CREDIT_BYTES + 1_000],
    },
    {
      name: "what was sent beyond the credit and is granted lets the next go",
      give: [CREDIT_BYTES + 1_000, 200, 200],
      grants: [400, 600, 10],
      sent: [CREDIT_BYTES + 1_000, 200],
    },
    {
      name: "a grant for many lets many go",
      give: [CREDIT_BYTES, 200, 300, 400, 500],
      grants: [550],
      sent: [CREDIT_BYTES, 200, 300, 400],
    },
    {
      name: "credit that is not needed yet is kept",
      give: [200, CREDIT_BYTES, 300, 300],
      grants: [800],
      sent: [200, CREDIT_BYTES, 300, 300],
    },
  ];
  for (const { name, give: sizes, grants, sent } of arithmetic) {
    test(name, async () => {
      const { sender, said, give } = createSender();
      await give(...sizes);
      for (const bytes of grants) {
        sender.grant(bytes);
        await settle();
      }
      assert.deepEqual(said, sent);
    });
  }

  test("reads one chunk ahead of its credit, and no more", async () => {
    let pulls = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulls++;
        controller.enqueue(new Uint8Array(64 * KIB));
      },
    }, { highWaterMark: 0 });
    new StreamSender(stream.getReader(), FREE, { chunk: () => {}, end: () => {}, fail: () => {} });
    await settle();
    await settle();
    assert.equal(pulls, CREDIT_BYTES / (64 * KIB) + 1);
  });

  test("sends few small chunks ahead, since each takes more memory than its bytes", async () => {
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(1)) });
    new StreamSender(stream.getReader(), FREE, { chunk: () => sent++, end: () => {}, fail: () => {} });
    for (let turns = 0; turns < 10; turns++) await settle();
    assert.ok(sent > 1_000 && sent < CREDIT_BYTES / 50, `${sent}`);
  });

  test("fails at a chunk that has lost its memory while it was held", async () => {
    const { sender, controller, said, give } = createSender();
    await give(CREDIT_BYTES);
    const held = new Uint8Array(5);
    controller.enqueue(held);
    await settle();
    structuredClone(held.buffer, { transfer: [held.buffer] });
    sender.grant(CREDIT_BYTES);
    await settle();
    assert.equal(said.length, 2);
    assert.match(String(said[1]), /^fail: .*memory was transferred/);
  });

  test("sees the end of the stream without credit", async () => {
    const { controller, said, give } = createSender();
    await give(CREDIT_BYTES);
    controller.close();
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES, "end"]);
  });

  test("sees the failure of the stream without credit", async () => {
    const { controller, said, give } = createSender();
    await give(CREDIT_BYTES);
    controller.error(new Error("boom"));
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES, "fail: boom"]);
  });

  test("does not end before what it holds for want of credit has gone", async () => {
    const { sender, controller, said, give } = createSender();
    await give(CREDIT_BYTES, 200);
    controller.close();
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES]);
    sender.grant(10);
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES, 200, "end"]);
  });

  test("fails with a chunk that is not bytes, and cancels the stream", async () => {
    const { controller, said, cancelled } = createSender();
    controller.enqueue(2 as unknown as Uint8Array);
    await settle();
    assert.equal(said.length, 1);
    assert.match(String(said[0]), /^fail: .*neither bytes nor text/);
    assert.ok(cancelled[0] instanceof TypeError);
  });

  test("that is cancelled cancels the stream with the reason, and says nothing more", async () => {
    const { sender, said, cancelled, give } = createSender();
    await give(CREDIT_BYTES, 200);
    const reason = new Error("enough");
    sender.cancel(reason);
    sender.cancel(new Error("again"));
    sender.grant(CREDIT_BYTES);
    await settle();
    assert.deepEqual([said, cancelled], [[CREDIT_BYTES], [reason]]);
  });

  test("that is cancelled while it reads says nothing more", async () => {
    const { sender, said, cancelled } = createSender();
    sender.cancel(new Error("enough"));
    await settle();
    assert.deepEqual([said, cancelled.length], [[], 1]);
  });

  test("sends no empty chunk", async () => {
    const { said, give } = createSender();
    await give(creditFor(new Uint8Array(0)), 200);
    assert.deepEqual(said, [200]);
  });

  test("reads on in the next turn where its share of this one is used up", async () => {
    const turns = createTurns();
    const { said, give } = createSender(turns.share);
    await give(...Array(40).fill(200));
    await turns.assertShared(said, 40);
  });

  test("that is cancelled behind the end does nothing", async () => {
    const { sender, controller, said, cancelled } = createSender();
    controller.close();
    await settle();
    sender.cancel(new Error("late"));
    await settle();
    assert.deepEqual([said, cancelled], [["end"], []]);
  });

  test("counts what was read before: it takes of the credit, and what comes behind waits", async () => {
    const { sender, said, give } = createSender();
    sender.sendFirst([chunkFor(CREDIT_BYTES), chunkFor(200)]);
    await give(150);
    assert.deepEqual(said, [CREDIT_BYTES, 200]);
    sender.grant(201);
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES, 200, 150]);
  });

  test("takes a read that is under way for its first", async () => {
    const sizes: number[] = [];
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const size of [1, 2, 3]) controller.enqueue(new Uint8Array(size));
        controller.close();
      },
    });
    const reader = stream.getReader();
    const target = {
      chunk: (bytes: Uint8Array) => sizes.push(bytes.byteLength),
      end: () => sizes.push(0),
      fail: () => {},
    };
    new StreamSender(reader, FREE, target, reader.read());
    await settle();
    assert.deepEqual(sizes, [1, 2, 3, 0]);
  });
});

describe("an account of credit", () => {
  function createAccount(): { account: CreditAccount; credits: number[] } {
    const credits: number[] = [];
    return { account: new CreditAccount({ credit: (bytes) => credits.push(bytes), cancel: () => {} }), credits };
  }

  const rows: { name: string; taken: number[]; credits: number[] }[] = [
    { name: "nothing is given back for nothing", taken: [0, 0], credits: [] },
    { name: "little is kept until it is worth a message", taken: [GRANT_BYTES - 1], credits: [] },
    { name: "a quarter of the credit is worth one", taken: [GRANT_BYTES], credits: [GRANT_BYTES] },
    { name: "little and little is much", taken: [GRANT_BYTES - 1, 1], credits: [GRANT_BYTES] },
    {
      name: "all that is owed is given back, and then nothing is owed",
      taken: [GRANT_BYTES - 1, 500, 1],
      credits: [GRANT_BYTES + 499],
    },
    {
      name: "much is given back at once",
      taken: [10 * GRANT_BYTES, 3 * GRANT_BYTES],
      credits: [10 * GRANT_BYTES, 3 * GRANT_BYTES],
    },
  ];
  for (const { name, taken, credits: expected } of rows) {
    test(name, () => {
      const { account, credits } = createAccount();
      for (const bytes of taken) account.taken(bytes);
      assert.deepEqual(credits, expected);
    });
  }
});

describe("a stream that comes from another thread", () => {
  function createReceived() {
    const credits: number[] = [];
    const cancelled: unknown[] = [];
    const received = new ReceivedStream({
      credit: (bytes) => credits.push(bytes),
      cancel: (reason) => cancelled.push(reason),
    });
    return { received, credits, cancelled };
  }

  test("gives the chunks as they came, and ends", async () => {
    const { received } = createReceived();
    for (const size of [1, 100_000, 3]) received.push(new Uint8Array(size));
    received.end();
    const sizes: number[] = [];
    for await (const chunk of received.readable) sizes.push(chunk.byteLength);
    assert.deepEqual(sizes, [1, 100_000, 3]);
  });

  test("gives nothing back for what nobody reads", async () => {
    const { received, credits } = createReceived();
    for (let i = 0; i < 4; i++) received.push(chunkFor(GRANT_BYTES));
    await settle();
    assert.deepEqual(credits, []);
  });

  test("gives back what was read", async () => {
    const { received, credits } = createReceived();
    for (let i = 0; i < 4; i++) received.push(chunkFor(GRANT_BYTES));
    await settle();
    const reader = received.readable.getReader();
    for (let i = 1; i <= 4; i++) {
      await reader.read();
      await settle();
      assert.deepEqual(credits, Array(i).fill(GRANT_BYTES));
    }
  });

  test("gives back what went to a reader that waits", async () => {
    const { received, credits } = createReceived();
    const reader = received.readable.getReader();
    for (let i = 0; i < 8; i++) {
      const read = reader.read();
      await settle();
      received.push(chunkFor(GRANT_BYTES / 2));
      assert.equal(creditFor((await read).value!), GRANT_BYTES / 2);
    }
    await settle();
    assert.deepEqual(credits, Array(4).fill(GRANT_BYTES));
  });

  test("gives back a chunk that is larger than the credit", async () => {
    const { received, credits } = createReceived();
    received.push(chunkFor(3 * CREDIT_BYTES));
    await settle();
    assert.deepEqual(credits, []);
    await received.readable.getReader().read();
    await settle();
    assert.deepEqual(credits, [3 * CREDIT_BYTES]);
  });

  test("fails behind the chunks that came before", async () => {
    const { received } = createReceived();
    received.push(new Uint8Array(1));
    received.push(new Uint8Array(2));
    const cause = new Error("boom");
    received.fail(cause);
    const reader = received.readable.getReader();
    assert.equal((await reader.read()).value?.byteLength, 1);
    assert.equal((await reader.read()).value?.byteLength, 2);
    await assert.rejects(reader.read(), (error) => error === cause);
  });

  for (const when of ["while somebody waits", "before anybody reads"]) {
    test(`fails ${when}`, async () => {
      const { received } = createReceived();
      const cause = new Error("boom");
      const reader = received.readable.getReader();
      const read = when === "while somebody waits" ? reader.read() : null;
      await settle();
      received.fail(cause);
      await assert.rejects(read ?? reader.read(), (error) => error === cause);
    });
  }

  test("tells the sender that nobody wants the rest, and takes no more", async () => {
    const { received, credits, cancelled } = createReceived();
    received.push(new Uint8Array(10));
    const reason = new Error("enough");
    await received.readable.cancel(reason);
    received.push(new Uint8Array(CREDIT_BYTES));
    received.fail(new Error("late"));
    received.end();
    await settle();
    assert.deepEqual([cancelled, credits], [[reason], []]);
  });

  test("that has failed hears nothing more", async () => {
    const { received, credits } = createReceived();
    received.fail(new Error("boom"));
    received.push(new Uint8Array(CREDIT_BYTES));
    received.end();
    await assert.rejects(received.readable.getReader().read(), { message: "boom" });
    assert.deepEqual(credits, []);
  });

  test("that has ended hears nothing more", async () => {
    const { received, cancelled } = createReceived();
    received.end();
    received.fail(new Error("late"));
    received.end();
    assert.equal((await received.readable.getReader().read()).done, true);
    assert.deepEqual(cancelled, []);
  });
});

describe("a stream that is written, whose chunks go to another thread", () => {
  function createSent(share = FREE) {
    const said: (number | string)[] = [];
    const sent = new SentStream(share, {
      chunk: (bytes) => said.push(creditFor(bytes)),
      end: () => said.push("end"),
      fail: (cause) => said.push(`fail: ${(cause as Error).message}`),
    });
    const writer = sent.writable.getWriter();
    const outcomes: string[] = [];
    writer.closed.catch(({ message }) => outcomes.push(`closed: ${message}`));
    const write = async (credit: number): Promise<void> => {
      writer.write(chunkFor(credit)).then(
        () => outcomes.push("written"),
        ({ message }) => outcomes.push(`write: ${message}`),
      );
      await settle();
    };
    return { sent, writer, said, outcomes, write };
  }

  test("goes as far as the credit, of which what was sent beyond it is owed first", async () => {
    const { sent, said, outcomes, write } = createSent();
    await write(CREDIT_BYTES - 1);
    await write(1_001);
    await write(300);
    assert.deepEqual([said, outcomes], [[CREDIT_BYTES - 1, 1_001], ["written"]]);
    sent.grant(1_000);
    await settle();
    assert.deepEqual([said.length, outcomes.length], [2, 1]);
    sent.grant(1);
    await settle();
    assert.deepEqual([said, outcomes], [[CREDIT_BYTES - 1, 1_001, 300], ["written", "written"]]);
  });

  test("ends behind what waits for credit", async () => {
    const { sent, writer, said, write } = createSent();
    await write(CREDIT_BYTES);
    const closed = writer.close();
    await settle();
    assert.deepEqual([said, sent.isOver], [[CREDIT_BYTES], false]);
    sent.grant(1);
    await closed;
    assert.deepEqual([said, sent.isOver], [[CREDIT_BYTES, "end"], true]);
  });

  test("that is aborted says so at once, though a write waits for credit", async () => {
    const { sent, writer, said, outcomes, write } = createSent();
    await write(CREDIT_BYTES);
    const aborted = writer.abort(new Error("enough"));
    assert.deepEqual([said, sent.isOver], [[CREDIT_BYTES, "fail: enough"], true]);
    await aborted;
    sent.cancel(new Error("the client is gone"));
    await settle();
    assert.deepEqual([said.length, outcomes], [2, ["write: enough", "closed: enough"]]);
  });

  test("that is not wanted any more fails with the reason, what waits for credit included, and says nothing", async () => {
    const { sent, writer, said, outcomes, write } = createSent();
    await write(CREDIT_BYTES);
    sent.cancel(new Error("the client is gone"));
    await settle();
    await write(200);
    await writer.abort(new Error("late")).catch(() => {});
    assert.deepEqual([said, sent.isOver], [[CREDIT_BYTES], true]);
    const gone = "the client is gone";
    assert.deepEqual(outcomes.sort(), [`closed: ${gone}`, `write: ${gone}`, `write: ${gone}`]);
  });

  test("that is not wanted any more fails without a write", async () => {
    const { sent, outcomes } = createSent();
    sent.cancel(new Error("the client is gone"));
    await settle();
    assert.deepEqual(outcomes, ["closed: the client is gone"]);
  });

  test("that is aborted before it has heard that it is not wanted says nothing", async () => {
    const { sent, writer, said, write } = createSent();
    await write(CREDIT_BYTES);
    sent.cancel(new Error("the client is gone"));
    writer.abort(new Error("late")).catch(() => {});
    await settle();
    assert.deepEqual(said, [CREDIT_BYTES]);
  });

  test("fails with a chunk that is not bytes", async () => {
    const { writer, said } = createSent();
    await assert.rejects(writer.write({ byteLength: 1 } as Uint8Array), TypeError);
    assert.match(String(said[0]), /^fail: .*neither bytes nor text/);
  });

  test("goes on in the next turn where its share of this one is used up", async () => {
    const turns = createTurns();
    const { said, write } = createSent(turns.share);
    for (let i = 0; i < 40; i++) await write(200);
    await turns.assertShared(said, 40);
  });
});

describe("a stream to which chunks of another thread are written", () => {
  function createWritten() {
    const taken: number[] = [];
    const told: unknown[] = [];
    const waiting: (() => void)[] = [];
    let controller!: WritableStreamDefaultController;
    const writable = new WritableStream<Uint8Array>({
      start: (given) => void (controller = given),
      write: ({ byteLength }) => {
        taken.push(byteLength);
        return new Promise<void>((resolve) => waiting.push(resolve));
      },
      close: () => void told.push("end"),
      abort: (reason) => void told.push(reason),
    });
    const credits: number[] = [];
    const written = new WrittenStream(writable, {
      credit: (bytes) => credits.push(bytes),
      cancel: (reason) => told.push(`cancel: ${(reason as Error).message}`),
    });
    const takeNext = async (): Promise<void> => {
      waiting.shift()!();
      await settle();
    };
    return { written, controller, taken, told, credits, takeNext };
  }

  test("gives back what was taken, and not before", async () => {
    const { written, credits, takeNext } = createWritten();
    for (let i = 0; i < 2; i++) written.push(chunkFor(GRANT_BYTES));
    await settle();
    for (const expected of [[], [GRANT_BYTES]]) {
      assert.deepEqual(credits, expected);
      await takeNext();
    }
    assert.deepEqual(credits, [GRANT_BYTES, GRANT_BYTES]);
  });

  test("ends behind what came before", async () => {
    const { written, taken, told, takeNext } = createWritten();
    written.push(new Uint8Array(5));
    written.end();
    await settle();
    assert.deepEqual([taken, told], [[5], []]);
    await takeNext();
    await written.closed;
    assert.deepEqual(told, ["end"]);
  });

  test("is aborted, and what it has not taken dropped, where the other thread fails", async () => {
    const { written, taken, told, takeNext } = createWritten();
    for (let size = 1; size < 4; size++) written.push(new Uint8Array(size));
    await settle();
    const cause = new Error("boom");
    written.fail(cause);
    await takeNext();
    await written.closed;
    assert.deepEqual([taken, told], [[1], [cause, "cancel: boom"]]);
  });

  test("tells the other thread that it has failed", async () => {
    const { written, controller, told } = createWritten();
    controller.error(new Error("gone"));
    written.push(new Uint8Array(1));
    written.end();
    await written.closed;
    await settle();
    assert.deepEqual(told, ["cancel: gone"]);
  });
});

describe("a sender and a receiver together", () => {
  for (const seed of [1, 2, 3]) {
    test(`carry every byte, never more than the credit and a chunk at either end ahead (seed ${seed})`, async () => {
      const random = createRandom(seed);
      const sizes = Array.from({ length: 300 }, () => Math.floor((random(1_000) / 1_000) ** 3 * 100_000) + 1);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      let [sent, taken, farthest] = [0, 0, 0];
      const left = [...sizes];
      const source = new ReadableStream<Uint8Array>({
        pull(controller) {
          const size = left.shift();
          if (size === undefined) controller.close();
          else controller.enqueue(new Uint8Array(size));
        },
      }, { highWaterMark: 0 });
      const received = new ReceivedStream({
        credit: (bytes) => void queueMicrotask(() => sender.grant(bytes)),
        cancel: () => assert.fail("Nobody cancels."),
      });
      const sender = new StreamSender(source.getReader(), FREE, {
        chunk(bytes) {
          sent += bytes.byteLength;
          farthest = Math.max(farthest, sent - taken - bytes.byteLength);
          queueMicrotask(() => received.push(bytes));
        },
        end: () => void queueMicrotask(() => received.end()),
        fail: (cause) => assert.fail(String(cause)),
      });
      for await (const chunk of received.readable) {
        taken += chunk.byteLength;
        if (random(5) === 0) await settle();
      }
      assert.deepEqual([sent, taken], [total, total]);
      // What the sender holds is not counted; what the reader has just been given counts as taken already.
      assert.ok(farthest < CREDIT_BYTES + 100_000, `${farthest}`);
      assert.ok(farthest > CREDIT_BYTES / 2, "the reader was slower than the sender");
    });
  }
});
