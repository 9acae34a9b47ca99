/**
 * The rules of this repository that no general linter knows, as a plugin for `deno lint`.
 *
 * It decides which file may import which, which files stay free of a runtime's globals and of promises, and which
 * TypeScript is written. The decisions are pure functions over paths relative to the repository, so that they can be
 * tested on every runtime; the plugin only finds the places in a syntax tree to which they apply, and reads what files
 * import. It knows nothing of what they are for.
 *
 * @module
 */

// The types of `Deno.lint` stand among the unstable ones.
/// <reference lib="deno.unstable" />

/** Where a file stands, by its path. */
type Zone = "entry" | "shared" | "layer" | "runtime" | "unlisted" | "outside";

/** The rooms of the core, top first, and which of those below each may look into. */
const LAYERS: readonly { readonly folder: string; readonly imports: readonly string[] }[] = [
  {
    folder: "src/server/",
    imports: [
      "src/models/",
      "src/observe/",
      "src/http1/connection/",
      "src/http1/codec/",
      "src/websocket/",
      "src/threads/",
      "src/exchange/",
      "src/web/",
      "src/api/",
      "src/http/",
    ],
  },
  // A model sees connections as an interface, whatever protocol they speak.
  {
    folder: "src/models/",
    imports: ["src/threads/", "src/observe/", "src/exchange/", "src/web/", "src/api/", "src/http/"],
  },
  // Static files and observers use what the seams show, and nothing of connections and models.
  { folder: "src/static/", imports: ["src/web/", "src/api/", "src/http/"] },
  { folder: "src/observe/", imports: ["src/exchange/", "src/web/", "src/api/", "src/http/"] },
  {
    folder: "src/http1/connection/",
    imports: ["src/http1/codec/", "src/exchange/", "src/web/", "src/api/", "src/http/"],
  },
  { folder: "src/http1/codec/", imports: ["src/api/", "src/http/"] },
  { folder: "src/websocket/codec/", imports: ["src/api/", "src/http/"] },
  {
    folder: "src/websocket/",
    imports: ["src/websocket/codec/", "src/exchange/", "src/web/", "src/api/", "src/http/"],
  },
  { folder: "src/threads/", imports: ["src/observe/", "src/exchange/", "src/web/", "src/api/", "src/http/"] },
  { folder: "src/exchange/", imports: ["src/web/", "src/api/", "src/http/"] },
  { folder: "src/web/", imports: ["src/api/", "src/http/"] },
  { folder: "src/api/", imports: ["src/http/"] },
  { folder: "src/http/", imports: [] },
];

/** The entry points join the two halves of the package: the core and the adapters. */
const ENTRIES = /^(?:mod\.ts$|src\/entry\/)/;
/** What every file of the core may import: the contract with a runtime, and the tables of states. */
const SHARED = /^src\/(?:runtime|transport|states)\.ts$/;
/** The files of the core an adapter may know, and only their types. */
const RUNTIME_CONTRACT = /^src\/(?:runtime|transport)\.ts$/;
const CONTRACT_FILES = "src/runtime.ts and src/transport.ts";
/** The protocol: bytes in, values out, in one synchronous call. */
const SYNCHRONOUS_FILES = /^src\/(?:http|http1\/codec|websocket\/codec)\//;
const CORE_FILES = /^src\//;
const PUBLISHED_FILES = /^(?:mod\.ts$|src\/|runtime\/)/;

const RUNTIME_GLOBALS: ReadonlySet<string> = new Set([
  "Deno",
  "Bun",
  "process",
  "Buffer",
  "require",
  "__dirname",
  "__filename",
  // Standard output can be closed, full or slow, and `console` throws or blocks then: `Host.print` does not.
  "console",
]);

const ASYNCHRONOUS_GLOBALS: ReadonlySet<string> = new Set([
  "Promise",
  "queueMicrotask",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "ReadableStream",
  "WritableStream",
  "TransformStream",
  "fetch",
]);

const ORDER = "Imports go one way: mod.ts and src/entry/ > src/server/ > src/models/ > (src/http1/, src/websocket/, " +
  "src/threads/) > src/exchange/ > src/web/ > src/api/ > src/http/.";

/**
 * Says why one file may not import another.
 *
 * @param importer The importing file's path, relative to the repository, with `/` between its parts.
 * @param specifier The specifier as it is written.
 * @param typeOnly Whether the whole declaration is an `import type` or `export type`.
 * @returns What is wrong and what is allowed, or `null` if the import is fine.
 */
export function refusalOfImport(importer: string, specifier: string, typeOnly: boolean): string | null {
  const zone = zoneOf(importer);
  if (zone === "outside") return null;
  if (!/^\.{1,2}\//.test(specifier)) return refusalOfPackage(zone, specifier);

  const imported = resolve(importer, specifier);
  const target = zoneOf(imported);
  if (target === "outside") {
    return `${imported} is not part of the package: published files import only mod.ts, src/ and runtime/.`;
  }
  if (zone === "entry") return null;
  if (zone === "runtime") {
    if (target === "runtime") return null;
    if (RUNTIME_CONTRACT.test(imported) && typeOnly) return null;
    return `An adapter translates and knows nothing of the core: of src/ it imports only types of ${CONTRACT_FILES}, ` +
      "with `import type`.";
  }
  if (target === "entry") return `${imported} is an entry point and stands above this file. ${ORDER}`;
  if (target === "runtime") {
    return `The core knows no runtime: only mod.ts and src/entry/ import runtime/. What is needed of a runtime ` +
      `belongs into the contract, ${CONTRACT_FILES}.`;
  }
  if (zone === "unlisted" || target === "unlisted") {
    return `${zone === "unlisted" ? importer : imported} has no layer. Give its folder a place in LAYERS of ` +
      `scripts/lint_rules.ts. ${ORDER}`;
  }
  if (target === "shared") return null;
  if (zone === "shared") return `Everything may import ${importer}, so it imports nothing of the layers. ${ORDER}`;
  const from = layerOf(importer)!;
  const to = layerOf(imported)!;
  if (from === to || from.imports.includes(to.folder)) return null;
  return `${imported} stands above or beside this file. ${ORDER}`;
}

/**
 * Finds the way back from an imported file to the one that imports it: a circle, in which no file can be understood
 * alone. Imports of types count, since a reader follows them too.
 *
 * @param importer The importing file's path, relative to the repository.
 * @param imported The path of the file it imports.
 * @param importsOf The paths that a file imports.
 * @returns The files of the circle in order, or `null` where there is none.
 */
export function findCircle(
  importer: string,
  imported: string,
  importsOf: (path: string) => readonly string[],
): readonly string[] | null {
  const cameFrom = new Map<string, string>([[imported, importer]]);
  for (const path of cameFrom.keys()) {
    if (path === importer) {
      const circle = [importer];
      for (let at = cameFrom.get(importer)!; at !== importer; at = cameFrom.get(at)!) circle.unshift(at);
      return [importer, ...circle];
    }
    for (const next of importsOf(path)) if (!cameFrom.has(next)) cameFrom.set(next, path);
  }
  return null;
}

function resolve(importer: string, specifier: string): string {
  return new URL(specifier, `file:///${importer}`).pathname.slice(1);
}

function refusalOfPackage(zone: Zone, specifier: string): string | null {
  if (zone !== "runtime") {
    return `"${specifier}" is not a file of this package: the core is portable and has no dependencies. What is ` +
      `needed of a runtime belongs into the contract, ${CONTRACT_FILES}.`;
  }
  if (/^(?:node:|bun:|bun$)/.test(specifier)) return null;
  return `"${specifier}" is a dependency, and the package has none: an adapter imports its runtime's own modules.`;
}

function zoneOf(path: string): Zone {
  if (ENTRIES.test(path)) return "entry";
  if (SHARED.test(path)) return "shared";
  if (path.startsWith("runtime/")) return "runtime";
  if (layerOf(path) !== undefined) return "layer";
  return CORE_FILES.test(path) ? "unlisted" : "outside";
}

function layerOf(path: string): (typeof LAYERS)[number] | undefined {
  return LAYERS.find((layer) => path.startsWith(layer.folder));
}

/** The repository, which holds this file's folder. */
const ROOT = decodeURIComponent(new URL("../", import.meta.url).pathname);

function relativePath(filename: string): string {
  const path = filename.replaceAll("\\", "/");
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path;
}

/** Whether an identifier only names a member or a label, so that it refers to no variable. */
function isOnlyAName(node: Deno.lint.Identifier): boolean {
  const parent = node.parent;
  const isAt = (part: { readonly range: Deno.lint.Range } | null): boolean => part?.range[0] === node.range[0];
  switch (parent.type) {
    case "MemberExpression":
      return !parent.computed && isAt(parent.property);
    case "Property":
      return !parent.computed && !parent.shorthand && isAt(parent.key);
    case "PropertyDefinition":
    case "MethodDefinition":
    case "TSPropertySignature":
      return !parent.computed && isAt(parent.key);
    case "TSMethodSignature":
      return isAt(parent.key);
    case "TSQualifiedName":
      return isAt(parent.right);
    case "ImportSpecifier":
    case "ExportSpecifier":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
      return true;
    default:
      return false;
  }
}

/** Visits every use of one of the names as a variable, also as a member of `globalThis`. */
function onVariable(names: ReadonlySet<string>, report: (node: Deno.lint.Node, name: string) => void) {
  // A shorthand property holds the same identifier twice: as its key and as its value.
  let lastReportedAt = -1;
  return {
    Identifier(node: Deno.lint.Identifier): void {
      if (!names.has(node.name) || isOnlyAName(node) || node.range[0] === lastReportedAt) return;
      lastReportedAt = node.range[0];
      report(node, node.name);
    },
    MemberExpression(node: Deno.lint.MemberExpression): void {
      if (node.object.type !== "Identifier" || node.object.name !== "globalThis") return;
      const property = node.property;
      const name = property.type === "Identifier" && !node.computed
        ? property.name
        : property.type === "Literal"
        ? property.value
        : undefined;
      if (typeof name === "string" && names.has(name)) report(node, name);
    },
  };
}

/** The text of a module specifier, or `null` where it is computed at run time. */
function literalText(node: Deno.lint.Node | undefined): string | null {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  if (node?.type === "TSLiteralType") return literalText(node.literal);
  if (node?.type !== "TemplateLiteral" || node.expressions.length > 0) return null;
  return node.quasis[0].cooked;
}

const layers: Deno.lint.Rule = {
  create(context) {
    const importer = relativePath(context.filename);
    const check = (node: Deno.lint.Node, specifier: string | null, typeOnly: boolean): void => {
      const message = specifier === null ? null : refusalOfImport(importer, specifier, typeOnly);
      if (message !== null) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source.value, node.importKind === "type"),
      ExportAllDeclaration: (node) => check(node, node.source.value, node.exportKind === "type"),
      ExportNamedDeclaration: (node) => check(node, node.source?.value ?? null, node.exportKind === "type"),
      ImportExpression: (node) => check(node, literalText(node.source), false),
      TSImportType: (node) => check(node, literalText(node.argument), true),
      // A thread is started with `new URL("./file.ts", import.meta.url)`, which imports that file as surely.
      NewExpression(node) {
        if (node.callee.type !== "Identifier" || node.callee.name !== "URL" || node.arguments.length !== 2) return;
        const specifier = literalText(node.arguments[0]);
        if (specifier?.endsWith(".ts")) check(node, specifier, false);
      },
    };
  },
};

/** What each file imports, read once: a run of the linter sees one state of the repository. */
const knownImports = new Map<string, readonly string[]>();

function importsOf(path: string): readonly string[] {
  const known = knownImports.get(path);
  if (known !== undefined) return known;
  let source = "";
  try {
    source = Deno.readTextFileSync(ROOT + path);
  } catch {
    // A file that is not there is reported by the type check.
  }
  const specifiers = source.matchAll(/^(?:import|export|\} from)\b[^"]*?"(\.{1,2}\/[^"]+)";$/gm);
  const paths = [...specifiers].map(([, specifier]) => resolve(path, specifier));
  knownImports.set(path, paths);
  return paths;
}

const noCircles: Deno.lint.Rule = {
  create(context) {
    const importer = relativePath(context.filename);
    if (!PUBLISHED_FILES.test(importer)) return {};
    const check = (node: Deno.lint.Node, specifier: string | undefined): void => {
      if (specifier === undefined || !/^\.{1,2}\//.test(specifier)) return;
      const circle = findCircle(importer, resolve(importer, specifier), importsOf);
      if (circle === null) return;
      context.report({
        node,
        message: `This import closes a circle: ${circle.join(" > ")}. Move what both need into a file of its own, or ` +
          "let the lower one return what the upper one decides by.",
      });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source.value),
      ExportAllDeclaration: (node) => check(node, node.source.value),
      ExportNamedDeclaration: (node) => check(node, node.source?.value),
    };
  },
};

const portableCore: Deno.lint.Rule = {
  create(context) {
    if (!CORE_FILES.test(relativePath(context.filename))) return {};
    return onVariable(RUNTIME_GLOBALS, (node, name) =>
      context.report({
        node,
        message:
          `\`${name}\` exists on some runtimes only, and src/ runs on all of them. What is needed of a runtime ` +
          `belongs into the contract, ${CONTRACT_FILES}, and into the adapters.`,
      }));
  },
};

const synchronousProtocol: Deno.lint.Rule = {
  create(context) {
    if (!SYNCHRONOUS_FILES.test(relativePath(context.filename))) return {};
    const report = (node: Deno.lint.Node, what: string): void =>
      context.report({
        node,
        message: `${what} has no place in a codec and in src/http/, which turn bytes into values in one synchronous ` +
          "call. Waiting, timers and streams belong into the room around the codec, such as src/http1/connection/.",
      });
    const checkFunction = (node: Deno.lint.Node & { async: boolean }): void => {
      if (node.async) report(node, "An async function");
    };
    return {
      FunctionDeclaration: checkFunction,
      FunctionExpression: checkFunction,
      ArrowFunctionExpression: checkFunction,
      AwaitExpression: (node) => report(node, "`await`"),
      ForOfStatement: (node) => node.await ? report(node, "`for await`") : undefined,
      ...onVariable(ASYNCHRONOUS_GLOBALS, (node, name) => report(node, `\`${name}\``)),
    };
  },
};

const noDefaultExport: Deno.lint.Rule = {
  create(context) {
    if (!PUBLISHED_FILES.test(relativePath(context.filename))) return {};
    const report = (node: Deno.lint.Node): void =>
      context.report({
        node,
        message: "The package has named exports only, so that a thing has the same name wherever it is imported.",
      });
    return {
      ExportDefaultDeclaration: report,
      ExportSpecifier: (node) =>
        node.exported.type === "Identifier" && node.exported.name === "default" ? report(node) : undefined,
    };
  },
};

const erasableSyntax: Deno.lint.Rule = {
  create(context) {
    const report = (node: Deno.lint.Node, what: string, instead: string): void =>
      context.report({
        node,
        message: `${what} is code and not only a type, so that a runtime which strips types cannot run it. ${instead}`,
      });
    return {
      TSEnumDeclaration: (node) =>
        node.declare ? undefined : report(node, "An enum", "Use a union of literals or an object `as const`."),
      TSModuleDeclaration(node) {
        const around = context.sourceCode.getAncestors(node);
        const isAmbient = node.declare || around.some((outer) => outer.type === "TSModuleDeclaration" && outer.declare);
        if (!isAmbient) report(node, "A namespace", "Use a module.");
      },
      TSParameterProperty: (node) => report(node, "A parameter property", "Declare the field and assign it."),
      TSImportEqualsDeclaration: (node) => report(node, "`import =`", "Use an import declaration."),
      TSExportAssignment: (node) => report(node, "`export =`", "Use named exports."),
    };
  },
};

/** The plugin, as the `lint.plugins` of `deno.json` names it. */
const plugin: Deno.lint.Plugin = {
  name: "trivet",
  rules: {
    "layers": layers,
    "no-circles": noCircles,
    "portable-core": portableCore,
    "synchronous-protocol": synchronousProtocol,
    "no-default-export": noDefaultExport,
    "erasable-syntax": erasableSyntax,
  },
};

export default plugin;
