/**
 * The messages of a WebSocket as two streams with back-pressure, as WebSocketStream has them.
 *
 * It decides when the client is read and when a write is done. It must not know how messages become frames.
 *
 * @module
 */

import type { TurnShare } from "../web/turn_share.ts";
import type { Message } from "./incoming_frames.ts";

/** What the stream of messages that come asks of the socket. */
export interface MessageSource {
  /** Messages are wanted again. */
  resume(): void;
  /** Closes the connection. */
  close(): void;
}

/** What the stream of messages that go asks of the socket. */
export interface MessageTarget {
  /** Sends a message. Returns whether the client keeps up; where it does not, `drained` follows. */
  send(message: string | ArrayBufferLike | ArrayBufferView): boolean;
  /** Closes the connection. */
  close(): void;
}

/** Kept for a reader that does not keep up, before the client is not read any more; one message may go beyond that. */
const HIGH_WATER_BYTES = 64 * 1024;
/** What a message takes beside its payload. */
const MESSAGE_BYTES = 100;

/** The messages that come. */
export class IncomingMessages {
  readonly readable: ReadableStream<Message>;
  #controller: ReadableStreamDefaultController<Message> | null = null;
  #failure: Error | null = null;

  constructor(source: MessageSource) {
    this.readable = new ReadableStream<Message>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => {
        this.#failBehindTheLast();
        source.resume();
      },
      cancel: () => {
        this.#controller = null;
        source.close();
      },
    }, { highWaterMark: HIGH_WATER_BYTES, size: (message) => MESSAGE_BYTES + message.length });
  }

  /** Returns whether the next one is wanted. None comes any more once the reader has cancelled. */
  take(message: Message): boolean {
    const controller = this.#controller!;
    controller.enqueue(message);
    return (controller.desiredSize ?? 0) > 0;
  }

  /** No more messages come. */
  end(): void {
    this.#controller?.close();
  }

  /** No more messages come, and the connection was not closed in order. Those that came are still read. */
  fail(error: Error): void {
    this.#failure = error;
    this.#failBehindTheLast();
  }

  #failBehindTheLast(): void {
    if (this.#failure === null || this.#controller?.desiredSize !== HIGH_WATER_BYTES) return;
    this.#controller.error(this.#failure);
  }
}

/** The messages that go. */
export class OutgoingMessages {
  readonly writable: WritableStream<string | ArrayBufferLike | ArrayBufferView>;
  #controller: WritableStreamDefaultController | null = null;
  #write: { resolve(): void; reject(error: unknown): void } | null = null;
  #failure: Error | null = null;
  #open: (() => void) | null = null;

  /**
   * @param target The socket.
   * @param hasOpened Whether messages can be sent; else `open` says when.
   * @param share How much of a turn writing may take.
   */
  constructor(target: MessageTarget, hasOpened: boolean, share: TurnShare) {
    this.writable = new WritableStream<string | ArrayBufferLike | ArrayBufferView>({
      start: (controller) => {
        this.#controller = controller;
        return hasOpened ? undefined : new Promise<void>((resolve) => this.#open = resolve);
      },
      write: (message) => {
        if (target.send(message)) return share.take() ? undefined : new Promise<void>((resolve) => share.wait(resolve));
        // Where too much waited already, the connection was closed for it.
        if (this.#failure !== null) throw this.#failure;
        return new Promise<void>((resolve, reject) => {
          this.#write = { resolve, reject };
        });
      },
      close: () => target.close(),
      abort: () => target.close(),
    });
  }

  /** Messages can be sent. */
  open(): void {
    this.#open?.();
  }

  /** The client keeps up again. */
  drained(): void {
    this.#write?.resolve();
    this.#write = null;
  }

  /** The connection is closed. */
  fail(error: Error): void {
    this.#failure = error;
    this.#controller?.error(error);
    this.#open?.();
    this.#write?.reject(error);
    this.#write = null;
  }
}
