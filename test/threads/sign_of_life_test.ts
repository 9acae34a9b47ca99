/** Whether a thread listens: which answers count, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TrivetError } from "../../src/api/errors.ts";
import { ANSWER_TIMEOUT_MS, SignOfLife } from "../../src/threads/sign_of_life.ts";
import "../support/record_transitions.ts";
import { VirtualClock } from "../support/virtual_clock.ts";

const tooLate = new TrivetError("handler-timeout", "The server did not make a response in time.");

function create() {
  const clock = new VirtualClock();
  const asked: number[] = [];
  const silences: TrivetError[] = [];
  const life = new SignOfLife(clock, {
    ask: (question) => void asked.push(question),
    onSilence: (suspicion) => void silences.push(suspicion),
  });
  return { clock, life, asked, silences };
}

describe("a thread that is asked twice", () => {
  test("has to answer the second question: it may have begun to compute behind the first", () => {
    const { life, asked } = create();
    life.ask();
    life.ask();
    assert.deepEqual(asked, [1, 2]);
    assert.equal(life.hear(1), false);
    assert.equal(life.state, "asked");
    assert.equal(life.hear(2), false);
    assert.equal(life.state, "heard");
  });

  test("and is suspected at the first is suspected no more when it has answered that, and has to answer the other", async () => {
    const { life, clock, silences } = create();
    life.suspect(tooLate);
    life.ask();
    assert.equal(life.hear(1), true);
    assert.equal(life.state, "asked");
    await clock.advance(ANSWER_TIMEOUT_MS);
    assert.deepEqual(silences, []);
    life.hear(2);
    assert.equal(life.state, "heard");
  });

  test("and is suspected at the second is lost although it has answered the first", async () => {
    const { life, clock, silences } = create();
    life.ask();
    life.suspect(tooLate);
    assert.equal(life.hear(1), false);
    await clock.advance(ANSWER_TIMEOUT_MS);
    assert.deepEqual(silences, [tooLate]);
  });
});
