/**
 * A plugin of `deno lint` that reports the body of each function, which is how `count_calls.ts` finds them: Deno's own
 * parser reads the code, and nothing has to be installed.
 *
 * @module
 */

// The types of `Deno.lint` stand among the unstable ones.
/// <reference lib="deno.unstable" />

type FunctionNode = Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression;

const bodies: Deno.lint.Rule = {
  create(context) {
    const report = (node: FunctionNode): void => {
      // An overload has none.
      if (node.body === null || node.body === undefined) return;
      context.report({ node: node.body, message: `${node.body.type} ${nameOf(node)}` });
    };
    return { FunctionDeclaration: report, FunctionExpression: report, ArrowFunctionExpression: report };
  },
};

function nameOf(node: FunctionNode): string {
  if (node.type !== "ArrowFunctionExpression" && node.id !== null) return node.id.name;
  const { parent } = node;
  if (parent.type === "MethodDefinition" || parent.type === "PropertyDefinition" || parent.type === "Property") {
    const { key } = parent;
    if (key.type === "Identifier") return key.name;
    if (key.type === "PrivateIdentifier") return `#${key.name}`;
  }
  if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier") return parent.id.name;
  return "=>";
}

const plugin: Deno.lint.Plugin = { name: "count-calls", rules: { bodies } };

export default plugin;
