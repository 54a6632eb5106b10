import { resolve } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SOURCES = resolve('src');

/** Resolves the imports of our files alone: those of packages are three quarters of all files. */
function hostOfOwnFiles(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  return {
    ...host,
    resolveModuleNameLiterals: (names, file) =>
      names.map(({ text }) =>
        text.startsWith('.') ? ts.resolveModuleName(text, file, options, host) : { resolvedModule: undefined },
      ),
  };
}

/**
 * The names that the types of exported declarations mention, without function bodies and private
 * members.
 */
function mentionedBy(declaration: ts.Declaration): ts.Identifier[] {
  const found: ts.Identifier[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || (ts.isClassElement(node) && node.name && ts.isPrivateIdentifier(node.name))) return;
    if (ts.isPropertyDeclaration(node) && node.type === undefined) return;
    if (ts.isVariableDeclaration(node)) {
      if (node.type) visit(node.type);
      return;
    }
    if (ts.isTypeReferenceNode(node)) found.push(ts.isIdentifier(node.typeName) ? node.typeName : node.typeName.right);
    if (ts.isExpressionWithTypeArguments(node) && ts.isIdentifier(node.expression)) found.push(node.expression);
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  return found;
}

test('every type that the public API mentions is exported', () => {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile);
  const { options: common } = ts.parseJsonConfigFileContent(
    { ...config, files: ['src/index.ts'], include: [] },
    ts.sys,
    '.',
  );
  const options = { ...common, types: [] };
  const program = ts.createProgram(['src/index.ts'], options, hostOfOwnFiles(options));
  const checker = program.getTypeChecker();
  const target = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const index = checker.getSymbolAtLocation(program.getSourceFile('src/index.ts') as ts.SourceFile) as ts.Symbol;
  const exported = new Set(checker.getExportsOfModule(index).map(target));
  for (const symbol of [...exported]) {
    if (symbol.flags & ts.SymbolFlags.ValueModule) {
      for (const inner of checker.getExportsOfModule(symbol)) exported.add(target(inner));
    }
  }
  expect(exported.size).toBeGreaterThan(50);
  const hidden = new Set<string>();
  for (const symbol of exported) {
    for (const declaration of symbol.declarations ?? []) {
      if (!declaration.getSourceFile().fileName.startsWith(SOURCES)) continue;
      for (const name of ts.isSourceFile(declaration) ? [] : mentionedBy(declaration)) {
        const mentioned = checker.getSymbolAtLocation(name);
        const type = mentioned && target(mentioned);
        const isOurs = type?.declarations?.some(
          (one) => one.getSourceFile().fileName.startsWith(SOURCES) && !ts.isTypeParameterDeclaration(one),
        );
        if (type && isOurs && !exported.has(type)) hidden.add(`${type.name}, mentioned by ${symbol.name}`);
      }
    }
  }
  expect([...hidden]).toEqual([]);
});
