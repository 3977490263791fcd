/**
 * The live feed page: subscribes to one user's feed, shows what moved and why, and posts events for the items shown.
 *
 * Everything that comes from data is set as text, never as markup.
 */
const byId = (id) => document.getElementById(id);
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const STATUS_EVERY_MS = 1_000;
const RECONNECT_MS_MAX = 10_000;
const LOG_LINES_MAX = 60;
const CARDS_MAX = 2_000;
const NAMES_TOLD_MAX = 3;
const ACTIONS = [
  ['click', 'Click'],
  ['like', 'Like'],
  ['dislike', 'Not for me'],
];

let key = window.sessionStorage.getItem('freshet.key') ?? '';
let socket;
let watching;
let version;
/** Causes of feeds that a later one replaced before they could be shown. */
let untold = [];
let shown = [];
let reconnectMs = 500;
let sequence = 0;
const cards = new Map();
/** Events this page posted: id → what and when, to measure and to name causes. */
const posted = new Map();
const idPrefix = `page-${Math.random().toString(36).slice(2, 10)}`;

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) byId('key-label').hidden = false;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? `status ${answer.status}`);
  return body;
}

function connect() {
  const { user, placement } = watching;
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const protocols = key ? ['freshet.v1', `freshet.key.${key}`] : ['freshet.v1'];
  const opened = new WebSocket(`${scheme}://${location.host}/v1/feed`, protocols);
  socket = opened;
  opened.onopen = () => {
    reconnectMs = 500;
    setConnection('live', true);
    const since = version && shown.length > 0 ? { sinceVersion: version } : {};
    opened.send(JSON.stringify({ type: 'subscribe', userId: user, placement, limit: 12, ...since }));
  };
  opened.onmessage = ({ data }) => receive(JSON.parse(data), opened);
  opened.onclose = ({ code, reason }) => {
    if (socket !== opened) return;
    setConnection(reason || 'reconnecting', false);
    if (code === 4401) {
      byId('key-label').hidden = false;
      return;
    }
    const told = /reconnect in (\d+) ms/.exec(reason);
    setTimeout(() => socket === opened && connect(), told ? Number(told[1]) : reconnectMs);
    reconnectMs = Math.min(reconnectMs * 2, RECONNECT_MS_MAX);
  };
}

function receive(message, from) {
  if (from !== socket) return;
  if (message.type === 'ping') from.send('{"type":"pong"}');
  else if (message.type === 'error') log(`${message.code}: ${message.message}`);
  else if (message.type === 'feed') void showFeed(message);
}

async function showFeed(message) {
  const arrivedMs = performance.now();
  version = message.version;
  untold.push(...message.cause.eventIds.map((id) => causeOf(id, arrivedMs)));
  await loadCards(message.items.map(({ itemId }) => itemId));
  if (version !== message.version) return;
  const before = new Map(shown.map((itemId, i) => [itemId, i]));
  const isFirst = shown.length === 0;
  const out = shown.filter((itemId) => !message.items.some((item) => item.itemId === itemId));
  shown = message.items.map(({ itemId }) => itemId);
  byId('version').textContent = `version ${message.version}`;
  showCause({ out, isFirst });
  render(message, before, isFirst);
  const viewed = { type: 'viewed', requestId: message.requestId, itemIds: shown };
  if (shown.length > 0 && socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(viewed));
}

/** What an event was, and how long it took to get here; its item's name is known once it is told. */
function causeOf(id, arrivedMs) {
  const own = posted.get(id);
  if (!own) return () => `event ${id}`;
  const tookMs = Math.round(arrivedMs - own.at);
  return () => `your ${own.type} on ${nameOf(own.itemId)} (${tookMs} ms ago)`;
}

function showCause({ out, isFirst }) {
  const causes = untold.splice(0).map((tell) => tell());
  const cause =
    causes.length > 0 ? `Because of ${causes.join(', ')}` : isFirst ? 'The feed as it is now' : 'The catalogue changed';
  const gone = out.length > 0 && !isFirst ? ` Out: ${listed(out.map(nameOf))}.` : '';
  byId('cause').textContent = `${cause}.${gone}`;
  log(`${cause}.${gone}`);
}

/** The first few names; a click can turn the whole feed over. */
function listed(names) {
  const more = names.length - NAMES_TOLD_MAX;
  return more > 0 ? `${names.slice(0, NAMES_TOLD_MAX).join(', ')} and ${more} more` : names.join(', ');
}

/** First, last, invert, play: items slide from where they were. */
function render(message, before, isFirst) {
  const list = byId('feed');
  const tops = new Map([...list.children].map((node) => [node.dataset.itemId, node.getBoundingClientRect().top]));
  list.replaceChildren(
    ...message.items.map((item, rank) => itemNode(item, rank, { before, isFirst, requestId: message.requestId })),
  );
  for (const node of list.children) {
    const top = tops.get(node.dataset.itemId);
    if (top === undefined) continue;
    const shift = top - node.getBoundingClientRect().top;
    if (Math.abs(shift) < 1) continue;
    node.style.transition = 'none';
    node.style.transform = `translateY(${shift}px)`;
    requestAnimationFrame(() => {
      node.style.transition = '';
      node.style.transform = '';
    });
  }
}

function itemNode(item, rank, { before, isFirst, requestId }) {
  const earlier = before.get(item.itemId);
  const move = isFirst || earlier === rank ? '' : earlier === undefined ? 'in' : earlier > rank ? 'up' : 'down';
  const moved = { '': '', in: 'new', up: `▲ ${earlier - rank}`, down: `▼ ${rank - earlier}` }[move];
  const node = element('li', `item ${move}`);
  node.dataset.itemId = item.itemId;
  const place = element('div', 'rank', String(rank + 1));
  place.append(element('span', 'moved', moved));
  const card = cards.get(item.itemId);
  const words = element('div');
  const facts = [
    card?.category,
    price(card),
    `score ${item.score.toFixed(2)}`,
    `${Math.round(item.confidence * 100)} % sure`,
  ];
  words.append(
    element('div', 'title', nameOf(item.itemId)),
    element('div', 'facts', facts.filter(Boolean).join(' · ')),
    element('div', 'reasons', item.reasons.join(' · ')),
  );
  const actions = element('div', 'actions');
  for (const [type, label] of ACTIONS) {
    const button = element('button', '', label);
    button.type = 'button';
    button.onclick = () => void post(type, item.itemId, { requestId, placement: watching.placement, position: rank });
    actions.append(button);
  }
  node.append(place, picture(item.itemId, card), words, actions);
  return node;
}

function picture(itemId, card) {
  const url = card?.imageUrl ?? '';
  if (url.startsWith('data:image/') || url.startsWith('/')) {
    const image = element('img', 'picture');
    image.src = url;
    image.alt = '';
    image.loading = 'lazy';
    return image;
  }
  const tile = element('div', 'picture', nameOf(itemId).slice(0, 1).toUpperCase());
  let hue = 0;
  for (const character of card?.category ?? itemId) hue = (hue * 31 + character.codePointAt(0)) % 360;
  tile.style.setProperty('--hue', String(hue));
  return tile;
}

const nameOf = (itemId) => cards.get(itemId)?.title ?? itemId;
const price = (card) => (card?.price == null ? '' : `${card.price.toFixed(2)} ${card.currency ?? ''}`.trim());

async function loadCards(itemIds) {
  const wanted = itemIds.filter((itemId) => !cards.has(itemId) && !itemId.includes(','));
  if (wanted.length === 0) return;
  if (cards.size > CARDS_MAX) cards.clear();
  try {
    const { items } = await request(`/v1/items?ids=${encodeURIComponent(wanted.join(','))}`);
    for (const card of items) cards.set(card.itemId, card);
  } catch (error) {
    log(`The catalogue could not be read: ${error.message}`);
  }
}

async function post(type, itemId, attribution) {
  const eventId = `${idPrefix}-${sequence++}`;
  posted.set(eventId, { type, itemId, at: performance.now() });
  if (posted.size > 200) posted.delete(posted.keys().next().value);
  try {
    const event = { type, eventId, userId: watching.user, itemId, attribution };
    await request('/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(event),
    });
    log(`You sent ${type} on ${nameOf(itemId)}`);
  } catch (error) {
    log(`The event was refused: ${error.message}`);
  }
}

let lastStatus;
let activeUsers = [];
async function refreshStatus() {
  try {
    const status = await request('/v1/status');
    const { events, feeds, lag, now } = status;
    if (lastStatus && now > lastStatus.now) {
      const rate = (events.acceptedTotal - lastStatus.events.acceptedTotal) / ((now - lastStatus.now) / 1000);
      byId('rate').textContent = Math.max(0, Math.round(rate)).toLocaleString('en');
    }
    lastStatus = status;
    const { p50, p99 } = feeds.pushLatencyMs;
    byId('p50').textContent = p50 === null ? '–' : `${p50.toFixed(1)} ms`;
    byId('p99').textContent = p99 === null ? '–' : `${p99.toFixed(1)} ms`;
    byId('subscriptions').textContent = String(feeds.subscriptions);
    byId('lag').textContent = String(lag.stream);
    activeUsers = status.activeUsers;
    byId('active').replaceChildren(...activeUsers.map((user) => Object.assign(element('option'), { value: user })));
  } catch {
    lastStatus = undefined;
  }
  setTimeout(refreshStatus, STATUS_EVERY_MS);
}

function watch(user, placement) {
  watching = { user, placement };
  version = undefined;
  untold = [];
  shown = [];
  byId('feed').replaceChildren();
  byId('cause').textContent = 'Waiting for the feed …';
  const previous = socket;
  socket = undefined;
  previous?.close();
  const url = new URL(location.href);
  url.searchParams.set('user', user);
  window.history.replaceState(null, '', url);
  connect();
}

function setConnection(text, isLive) {
  const pill = byId('connection');
  pill.textContent = text;
  pill.classList.toggle('live', isLive);
}

function log(text) {
  const line = element('li');
  line.append(element('time', '', new Date().toLocaleTimeString()), text);
  const lines = byId('log');
  lines.prepend(line);
  while (lines.children.length > LOG_LINES_MAX) lines.lastChild.remove();
}

byId('who').onsubmit = (event) => {
  event.preventDefault();
  key = byId('key').value.trim() || key;
  if (key) window.sessionStorage.setItem('freshet.key', key);
  watch(byId('user').value.trim(), byId('placement').value.trim());
};
byId('pick').onclick = () => {
  if (activeUsers.length === 0) return log('Nobody has been active yet; post an event first.');
  const others = activeUsers.filter((user) => user !== watching?.user);
  byId('user').value = (others.length > 0 ? others : activeUsers)[0];
  watch(byId('user').value, byId('placement').value.trim() || 'home');
};

const asked = new URL(location.href).searchParams.get('user');
if (asked) {
  byId('user').value = asked;
  watch(asked, 'home');
}
void refreshStatus();
