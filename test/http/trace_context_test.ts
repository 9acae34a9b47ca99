/** The fields traceparent and tracestate (W3C Trace Context, Level 1), as a table of what is taken and what is not. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FieldSection } from "../../src/http/field_section.ts";
import { readTraceContext } from "../../src/http/trace_context.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const IN_ORDER = `00-${TRACE_ID}-${PARENT_ID}-01`;

function section(...lines: readonly (readonly [name: string, value: string])[]): FieldSection {
  const offsets: number[] = [];
  let text = "";
  for (const part of lines.flat()) {
    offsets.push(text.length, text.length + part.length);
    text += part;
  }
  return new FieldSection(text, offsets);
}

describe("traceparent", () => {
  const taken: readonly (readonly [name: string, value: string, flags: number])[] = [
    ["of version 00", IN_ORDER, 1],
    ["that is not sampled", `00-${TRACE_ID}-${PARENT_ID}-00`, 0],
    ["with flags that have no meaning yet (section 3.2.2.5.2)", `00-${TRACE_ID}-${PARENT_ID}-ff`, 255],
    ["of a later version, which may say more (section 3.2.2.2)", `cc-${TRACE_ID}-${PARENT_ID}-01-what-will-be`, 1],
    ["of a later version that says no more", `cc-${TRACE_ID}-${PARENT_ID}-01`, 1],
  ];
  for (const [name, value, flags] of taken) {
    test(`${name} is taken`, () => {
      assert.deepEqual(readTraceContext(section(["TraceParent", value])), {
        traceId: TRACE_ID,
        parentId: PARENT_ID,
        isSampled: (flags & 1) === 1,
        flags,
        state: null,
      });
    });
  }

  const ignored: readonly (readonly [name: string, ...values: readonly string[]])[] = [
    ["that is not there"],
    ["that is empty", ""],
    ["of version ff (section 3.2.2.1)", `ff-${TRACE_ID}-${PARENT_ID}-01`],
    ["of version 00 that says more (section 3.2.2.2)", `${IN_ORDER}-more`],
    ["that ends with a hyphen", `${IN_ORDER}-`],
    ["of a later version that says more without a hyphen", `cc-${TRACE_ID}-${PARENT_ID}-01.more`],
    ["whose trace-id is all 0 (section 3.2.2.3)", `00-${"0".repeat(32)}-${PARENT_ID}-01`],
    ["whose parent-id is all 0 (section 3.2.2.4)", `00-${TRACE_ID}-${"0".repeat(16)}-01`],
    ["in upper case (section 3.2.2)", IN_ORDER.toUpperCase()],
    ["with one digit in upper case", `00-${TRACE_ID.replace("a", "A")}-${PARENT_ID}-01`],
    ["with what is no digit", `00-${TRACE_ID.replace("a", "g")}-${PARENT_ID}-01`],
    ["whose trace-id is short", `00-${TRACE_ID.slice(1)}-${PARENT_ID}-01`],
    ["whose parent-id is long", `00-${TRACE_ID}-${PARENT_ID}0-01`],
    ["whose flags are short", `00-${TRACE_ID}-${PARENT_ID}-1`],
    ["without flags", `00-${TRACE_ID}-${PARENT_ID}`],
    ["whose version is short", `0-${TRACE_ID}-${PARENT_ID}-01`],
    ["with other separators", IN_ORDER.replaceAll("-", "_")],
    ["with a space in front", ` ${IN_ORDER}`],
    ["with a tab behind", `${IN_ORDER}\t`],
    ["that came twice (section 3.2)", IN_ORDER, IN_ORDER],
    ["that is a list", `${IN_ORDER},${IN_ORDER}`],
    ["with a byte that is not ASCII", `00-${TRACE_ID.slice(1)}\xb2-${PARENT_ID}-01`],
  ];
  for (const [name, ...values] of ignored) {
    test(`${name} is none`, () => {
      const fields = section(...values.map((value): [string, string] => ["traceparent", value]));
      assert.equal(readTraceContext(fields), null);
    });
  }
});

describe("tracestate", () => {
  const LONG_KEY = `a${"b".repeat(255)}`;
  const LONG_TENANT = `${"1".repeat(241)}@${"v".repeat(14)}`;
  const MEMBERS = Array.from({ length: 33 }, (_, index) => `k${index}=v`);
  const rows: readonly (readonly [name: string, values: readonly string[], state: string | null])[] = [
    ["with one member", ["rojo=00f067aa0ba902b7"], "rojo=00f067aa0ba902b7"],
    ["with several", ["rojo=1,congo=t61rcWkgMzE"], "rojo=1,congo=t61rcWkgMzE"],
    ["with white space between them", ["rojo=1 ,\t congo=2"], "rojo=1 ,\t congo=2"],
    ["in several fields (section 3.3.1)", ["rojo=1", "congo=2"], "rojo=1, congo=2"],
    ["with empty members", ["rojo=1,,congo=2,"], "rojo=1,,congo=2,"],
    ["of a tenant", ["fw529a3039@dt=FfD_/*-x"], "fw529a3039@dt=FfD_/*-x"],
    ["whose value has an inner space", ["a=b c"], "a=b c"],
    ["with the longest keys", [`${LONG_KEY}=1,${LONG_TENANT}=2`], `${LONG_KEY}=1,${LONG_TENANT}=2`],
    ["with the longest value", [`a=${"x".repeat(256)}`], `a=${"x".repeat(256)}`],
    ["with 32 members (section 3.3.1.1)", [MEMBERS.slice(1).join(",")], MEMBERS.slice(1).join(",")],
    ["with 33 members", [MEMBERS.join(",")], null],
    ["that is not there", [], null],
    ["that is empty", [""], null],
    ["without a value", ["rojo"], null],
    ["with an empty value", ["rojo="], null],
    ["with an empty key", ["=1"], null],
    ["with a key in upper case", ["Rojo=1"], null],
    ["with a key that begins with a digit, and has no tenant", ["1rojo=1"], null],
    ["with a key that begins with an underscore", ["_rojo=1"], null],
    ["with white space before the equals sign", ["rojo =1"], null],
    ["with an equals sign in the value", ["rojo=a=b"], null],
    ["with a control character", ["rojo=a\x01"], null],
    ["with a byte that is not ASCII", ["rojo=\xe9"], null],
    ["with a key that is too long", [`${LONG_KEY}b=1`], null],
    ["with a tenant that is too long", [`1${LONG_TENANT}=1`], null],
    ["with a system that is too long", [`${LONG_TENANT}v=1`], null],
    ["with a value that is too long", [`a=${"x".repeat(257)}`], null],
    ["with a key twice", ["rojo=1,congo=2,rojo=3"], null],
    ["with one member that is wrong", ["rojo=1,!"], null],
  ];
  for (const [name, values, state] of rows) {
    test(`${name} is ${state === null ? "none, and the rest stays" : "taken as it came"}`, () => {
      const states = values.map((value): [string, string] => ["tracestate", value]);
      const context = readTraceContext(section(["traceparent", IN_ORDER], ...states));
      assert.deepEqual([context?.traceId, context?.state], [TRACE_ID, state]);
    });
  }

  test("alone is nothing (section 3.3)", () => {
    assert.equal(readTraceContext(section(["tracestate", "rojo=1"])), null);
  });
});
