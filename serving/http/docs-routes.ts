/**
 * Documents and pages: OpenAPI and AsyncAPI as JSON, a page that shows them, and the live feed page at `/`.
 *
 * Pages are read once at start and load nothing from elsewhere. They are public; what they show is asked for with a key.
 */
import { readFileSync } from 'node:fs';
import type { JsonSchema } from './check.js';
import { ok, type Route } from './route.js';

/** Path → file beside the page, and what it is. */
const ASSETS = [
  ['/', 'index.html', 'text/html; charset=utf-8', 'The live feed page'],
  ['/docs', 'docs.html', 'text/html; charset=utf-8', 'This API, for people'],
  ['/page/page.js', 'page.js', 'text/javascript; charset=utf-8', 'Script of the live feed page'],
  ['/page/docs.js', 'docs.js', 'text/javascript; charset=utf-8', 'Script of the documentation page'],
  ['/page/page.css', 'page.css', 'text/css; charset=utf-8', 'Style of the pages'],
] as const;

export interface DocsRoutesDeps {
  /** Called at the first request: the routes are complete by then. */
  readonly openApi: () => JsonSchema;
  readonly asyncApi: () => JsonSchema;
}

export function createDocsRoutes({ openApi, asyncApi }: DocsRoutesDeps): Route[] {
  const common = { method: 'GET', tag: 'documentation', access: 'public', body: 'none' } as const;
  const assets = ASSETS.map(([path, file, contentType, summary]): Route => {
    const body = readFileSync(new URL(`../page/${file}`, import.meta.url));
    const headers = { 'cache-control': 'no-cache' };
    return {
      ...common,
      path,
      summary,
      answers: { 200: 'The page.' },
      handle: () => ({ status: 200, body, contentType, headers }),
    };
  });
  return [
    ...assets,
    {
      ...common,
      path: '/docs/json',
      summary: 'This API as OpenAPI 3.1',
      answers: { 200: 'OpenAPI.' },
      handle: () => ok(openApi()),
    },
    {
      ...common,
      path: '/docs/asyncapi.json',
      summary: 'The feed protocol as AsyncAPI 3.0',
      answers: { 200: 'AsyncAPI.' },
      handle: () => ok(asyncApi()),
    },
  ];
}
