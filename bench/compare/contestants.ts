/**
 * Who is compared: the models, each with the numbers that make it what it is.
 *
 * @module
 */

/** A model with its options. */
export interface Contestant {
  /** The name by which `--model` selects it. */
  readonly name: string;
  readonly title: string;
  readonly options: Readonly<Record<string, string | number>>;
  /** Whether it gets the handler as a module. */
  readonly asModule: boolean;
  /** How many handlers can wait for something at the same time; `null` where only the clients bound it. */
  readonly handlersAtOnce: number | null;
}

const CORES = navigator.hardwareConcurrency;
/** The workers of the pool that takes part in every experiment. */
export const POOL_WORKERS = 8;

/** A contestant for each name. */
export const CONTESTANTS = {
  "blocking": {
    name: "blocking",
    title: "blocking",
    options: { model: "blocking" },
    asModule: false,
    handlersAtOnce: 1,
  },
  "pool-8": pool("pool-8", POOL_WORKERS, false),
  "pool-32": pool("pool-32", 32, false),
  "pool-8-threads": pool("pool-8-threads", POOL_WORKERS, true),
  "event-driven": {
    name: "event-driven",
    title: "event-driven, 1 loop",
    options: { model: "event-driven" },
    asModule: false,
    handlersAtOnce: null,
  },
  "event-driven-all": {
    name: "event-driven-all",
    title: `event-driven, ${CORES} loops`,
    options: { model: "event-driven", loops: CORES },
    asModule: true,
    handlersAtOnce: null,
  },
  "hybrid": {
    name: "hybrid",
    title: `hybrid, ${CORES} threads`,
    options: { model: "hybrid", threads: CORES },
    asModule: true,
    handlersAtOnce: null,
  },
} as const satisfies Record<string, Contestant>;

/** The names of all contestants. */
export const CONTESTANT_NAMES: readonly string[] = Object.keys(CONTESTANTS);

function pool(name: string, workers: number, asModule: boolean): Contestant {
  return {
    name,
    title: `worker-pool, ${workers} ${asModule ? "threads" : "workers"}`,
    options: { model: "worker-pool", workers },
    asModule,
    handlersAtOnce: workers,
  };
}
