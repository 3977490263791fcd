/**
 * What somebody sees who starts the demo: the page in a real browser, a feed that follows a click and names it, on a
 * desktop and on a phone, and the same again after a restart. FRESHET_SCREENSHOTS=DIR keeps pictures.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { killAll, removeTemporaryDirectories, startUp, temporaryDirectory } from './freshet.js';
import { until } from './until.js';

const CHROMIUM = '/usr/bin/chromium';
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let browser: Browser | undefined;

afterEach(async () => {
  await browser?.close();
  browser = undefined;
  await killAll();
});
afterAll(removeTemporaryDirectories);

/** A page that fails the test on any error of its own. */
async function openPage(url: string, faults: string[]): Promise<Page> {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const page = await browser.newPage({ viewport: DESKTOP, colorScheme: 'light' });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => void (message.type() === 'error' && faults.push(message.text())));
  await page.goto(url);
  return page;
}

/** Keeps a picture when asked to, and tells whether something sticks out of the window. */
async function look(page: Page, name: string): Promise<void> {
  const directory = process.env['FRESHET_SCREENSHOTS'];
  if (directory !== undefined) await page.screenshot({ path: join(directory, `${name}.png`), animations: 'disabled' });
  const [wide, width] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, window.innerWidth]',
  );
  expect(wide, `${name} scrolls sideways`).toBeLessThanOrEqual(width);
}

const feedOf = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>("[...document.querySelectorAll('#feed .item')].map((item) => item.dataset.itemId)");

async function watchSomebody(page: Page): Promise<string> {
  await until('somebody who is active', async () => (await page.locator('#active option').count()) > 0);
  await page.click('#pick');
  await until('a feed with items', async () => (await feedOf(page)).length >= 5);
  return page.inputValue('#user');
}

describe('the demo in a browser', () => {
  it('shows a feed that follows a click and says why, also on a phone and after a restart', async (context) => {
    if (!existsSync(CHROMIUM)) context.skip(`${CHROMIUM} is not there`);
    const data = temporaryDirectory();
    const faults: string[] = [];
    const { url, process } = await startUp(data, '--demo', '--rate', '100');
    for (const word of ['page', 'API', 'feed', 'metrics', 'data'])
      expect(process.stderr).toMatch(new RegExp(`^ {2}${word} +\\S+`, 'm'));

    const page = await openPage(`${url}/`, faults);
    await look(page, 'desktop-start');
    const user = await watchSomebody(page);
    await until('the connection to be shown as live', async () => (await page.textContent('#connection')) === 'live');
    const titles = await page.locator('#feed .title').allTextContents();
    expect(titles.every((title) => title.trim() !== '')).toBe(true);

    const before = await feedOf(page);
    await page.locator('#feed .item').nth(2).getByRole('button', { name: 'Click' }).click();
    // Other people act meanwhile: what stood third when the button was pressed is what the page says it sent, and the
    // log keeps the cause when a later feed has replaced it.
    const sent = /^You sent click on (.+)$/;
    const logged = (): Promise<string[]> =>
      page.evaluate<string[]>("[...document.querySelectorAll('#log li')].map((line) => line.lastChild.textContent)");
    await until('the click to be sent', async () => (await logged()).some((line) => sent.test(line)));
    const clicked = (await logged()).map((line) => sent.exec(line)?.[1]).find((title) => title !== undefined);
    await until('the feed that the click brought', async () =>
      (await logged()).some((line) => line.includes(`your click on ${clicked} (`)),
    );
    await until('a feed that differs', async () => JSON.stringify(await feedOf(page)) !== JSON.stringify(before));
    await look(page, 'desktop-feed');

    await page.setViewportSize(PHONE);
    await look(page, 'phone-feed');
    await page.emulateMedia({ colorScheme: 'dark' });
    await look(page, 'phone-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(`${url}/docs`);
    await until('the list of routes', async () => (await page.textContent('body'))?.includes('/v1/events'));
    await look(page, 'phone-docs');
    await page.setViewportSize(DESKTOP);
    await look(page, 'desktop-docs');
    expect((await process.stop()).code).toBe(0);

    const again = await startUp(data);
    const reopened = await openPage(`${again.url}/?user=${encodeURIComponent(user)}`, faults);
    await until('the feed of the same person', async () => (await feedOf(reopened)).length >= 5);
    await look(reopened, 'desktop-restarted');
    expect(faults.filter((fault) => !/WebSocket|ERR_CONNECTION|Failed to fetch/.test(fault))).toEqual([]);
    expect((await again.process.stop()).code).toBe(0);
  });
});
