/**
 * Lint: typed rules for the sources, and the project's own laws on time, chance and defaults.
 *
 * Time and randomness are arguments (streams/clock.ts, streams/random.ts). Where a test harness or a benchmark must
 * reach for the real thing, it says why: `// eslint-disable-next-line <rule> -- <reason>`.
 */
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const CLOCK = 'Take a Clock as an argument (streams/clock.ts).';
const RANDOM = 'Take a Random as an argument (streams/random.ts).';

const TIME_AND_CHANCE = {
  'no-restricted-globals': [
    'error',
    { name: 'setTimeout', message: CLOCK },
    { name: 'setInterval', message: CLOCK },
    { name: 'setImmediate', message: CLOCK },
    { name: 'crypto', message: RANDOM },
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: CLOCK },
    { object: 'performance', property: 'now', message: CLOCK },
    { object: 'process', property: 'hrtime', message: CLOCK },
    { object: 'globalThis', property: 'setTimeout', message: CLOCK },
    { object: 'globalThis', property: 'setInterval', message: CLOCK },
    { object: 'globalThis', property: 'setImmediate', message: CLOCK },
    { object: 'Math', property: 'random', message: RANDOM },
    { property: 'randomUUID', message: RANDOM },
    { property: 'randomBytes', message: RANDOM },
    { property: 'getRandomValues', message: RANDOM },
  ],
  'no-restricted-imports': [
    'error',
    {
      paths: [
        { name: 'node:timers', message: CLOCK },
        { name: 'node:timers/promises', message: CLOCK },
        ...['node:crypto', 'crypto'].map((name) => ({
          name,
          importNames: ['randomUUID', 'randomBytes', 'randomInt', 'randomFill', 'randomFillSync', 'webcrypto'],
          message: RANDOM,
        })),
      ],
    },
  ],
};

const NO_AMBIENT_DATE = [
  { selector: 'NewExpression[callee.name="Date"][arguments.length=0]', message: CLOCK },
  { selector: 'CallExpression[callee.name="Date"]', message: CLOCK },
];
const NO_NODE_ENV = [
  { selector: 'MemberExpression[property.name="NODE_ENV"]', message: 'Behaviour comes from the configuration.' },
  { selector: 'Literal[value="NODE_ENV"]', message: 'Behaviour comes from the configuration.' },
];
const NO_DEFAULT_EXPORT = [{ selector: 'ExportDefaultDeclaration', message: 'Export by name.' }];

/** A rule is only switched off with a reason that the next reader can judge. */
const disableNeedsReason = {
  meta: { type: 'suggestion', schema: [] },
  create: (context) => ({
    Program() {
      for (const comment of context.sourceCode.getAllComments()) {
        if (/^\s*eslint-disable/.test(comment.value) && !/\s--\s+\S/.test(comment.value)) {
          context.report({ loc: comment.loc, message: 'Say why: eslint-disable… <rule> -- <reason>' });
        }
      }
    },
  }),
};

const NODE_GLOBALS = ['process', 'console', 'performance', 'URL', 'Buffer', 'setTimeout', 'clearTimeout', 'module'];
const BROWSER_GLOBALS = [
  'window',
  'document',
  'location',
  'console',
  'fetch',
  'WebSocket',
  'localStorage',
  'URL',
  'CustomEvent',
];
const BROWSER_TIME_GLOBALS = [
  'performance',
  'setTimeout',
  'setInterval',
  'clearTimeout',
  'clearInterval',
  'requestAnimationFrame',
];
const readonlyGlobals = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

export default tseslint.config(
  { ignores: ['dist/', '.cache/', 'node_modules/', 'coverage/', 'data/', '**/*.min.js'] },
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { freshet: { rules: { 'disable-needs-reason': disableNeedsReason } } },
    rules: { 'freshet/disable-needs-reason': 'error' },
  },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      ...TIME_AND_CHANCE,
      'no-restricted-syntax': ['error', ...NO_AMBIENT_DATE, ...NO_NODE_ENV, ...NO_DEFAULT_EXPORT],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // Kernels over typed arrays know their bounds; the compiler does not.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // An adapter may implement an asynchronous port without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-console': 'error',
    },
  },
  {
    files: ['streams/clock.ts', 'streams/random.ts'],
    rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off', 'no-restricted-imports': 'off' },
  },
  {
    files: ['*.config.ts'],
    rules: { 'no-restricted-syntax': ['error', ...NO_AMBIENT_DATE, ...NO_NODE_ENV] },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // expect(client.close) and its like look at a method without calling it.
      '@typescript-eslint/unbound-method': 'off',
      // 'a promise that rejects' is a fixture here.
      '@typescript-eslint/only-throw-error': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs'],
    languageOptions: { globals: readonlyGlobals(NODE_GLOBALS) },
  },
  {
    // What browsers load as it is.
    files: ['serving/**/*.js'],
    languageOptions: { globals: readonlyGlobals([...BROWSER_GLOBALS, ...BROWSER_TIME_GLOBALS]) },
  },
);
