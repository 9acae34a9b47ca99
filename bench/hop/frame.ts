/**
 * A batch as bytes, for the ways that have no structured clone.
 *
 * A frame is a whole number of 32-bit words: its length in bytes, the bytes of its text, the UTF-16 lengths of the JSON
 * and of each string in that text, the lengths of its byte arrays; then the text as UTF-8, then the bytes.
 *
 * @module
 */

import type { SentBatch } from "../../src/threads/batch.ts";

const WORD = 4;
const FIXED_WORDS = 5;
/** UTF-8 takes so many bytes for a UTF-16 code unit at most. */
const MAX_UNIT_BYTES = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The most bytes a frame of this batch can take. */
export function maxFrameBytes([json, bytes, texts, gathered]: SentBatch): number {
  let units = json.length;
  for (const text of texts) units += text.length;
  let byteLength = gathered?.byteLength ?? 0;
  for (const each of bytes) if (typeof each !== "number") byteLength += each.byteLength;
  return padded(WORD * (FIXED_WORDS + texts.length + bytes.length) + MAX_UNIT_BYTES * units + byteLength);
}

/** Writes a batch at a place that is a whole number of words. Returns the length of its frame. */
export function writeFrame(batch: SentBatch, target: Uint8Array, words: Int32Array, at: number): number {
  const [json, bytes, texts, gathered] = batch;
  let word = at / WORD + FIXED_WORDS;
  for (const text of texts) words[word++] = text.length;
  for (const each of bytes) words[word++] = typeof each === "number" ? each : each.byteLength;
  let end = word * WORD;
  const textBytes = encoder.encodeInto(json + texts.join(""), target.subarray(end)).written;
  end += textBytes;
  let gatheredAt = 0;
  for (const each of bytes) {
    const piece = typeof each !== "number" ? each : gathered?.subarray(gatheredAt, gatheredAt += each);
    if (piece === undefined) continue;
    target.set(piece, end);
    end += piece.byteLength;
  }
  const frameBytes = padded(end - at);
  words.set([frameBytes, textBytes, json.length, texts.length, bytes.length], at / WORD);
  return frameBytes;
}

/** Reads the frame at a place. */
export function readFrame(source: Uint8Array, words: Int32Array, at: number): SentBatch {
  const [, textBytes, jsonLength, textCount, byteCount] = words.subarray(at / WORD, at / WORD + FIXED_WORDS);
  const lengthsAt = at / WORD + FIXED_WORDS;
  const textAt = WORD * (lengthsAt + textCount + byteCount);
  const all = decoder.decode(source.subarray(textAt, textAt + textBytes));
  let unit = jsonLength;
  const texts: string[] = [];
  for (let i = 0; i < textCount; i++) texts.push(all.substring(unit, unit += words[lengthsAt + i]));
  let start = textAt + textBytes;
  const bytes: Uint8Array<ArrayBuffer>[] = [];
  for (let i = 0; i < byteCount; i++) {
    const length = words[lengthsAt + textCount + i];
    const copy = new Uint8Array(length);
    copy.set(source.subarray(start, start += length));
    bytes.push(copy);
  }
  return [all.substring(0, jsonLength), bytes, texts, null];
}

function padded(byteLength: number): number {
  return Math.ceil(byteLength / WORD) * WORD;
}
