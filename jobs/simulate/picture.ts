/**
 * Pictures of simulated items: one small SVG text an item, drawn from nothing but its id.
 *
 * The id's front part (its section) decides the motif and the family of colours, the rest the variation, so a list of
 * recommendations shows at a glance whether it hangs together. Any text is accepted and none of it enters the SVG: the
 * result may be served or embedded as it is.
 */
import { hash32 } from '../../schemas/ids.js';
import { DEPARTMENTS, type Motif } from './word-lists.js';

/** Drawn around (0, 0) within ±46. Classes are put in by colour: `f` first, `s` second, `o` second as an outline. */
const MOTIFS: Readonly<Record<Motif, string>> = {
  pot: `<rect class='f' x='-32' y='-12' width='64' height='44' rx='8'/><path class='s' d='M-44-8H44V0H-44ZM-36-24H36V-15H-36Z'/><circle class='f' cy='-29' r='5'/>`,
  tent: `<path class='f' d='M0-38 46 34H-46Z'/><path class='s' d='M0-38 14 34H-14Z'/>`,
  book: `<rect class='f' x='-30' y='-40' width='60' height='80' rx='4'/><path class='s' d='M-30-40H-19V40H-30ZM-8-26H22V-20H-8ZM-8-12H12V-7H-8Z'/>`,
  disc: `<circle class='f' r='42'/><circle class='s' r='15'/><circle class='f' r='3'/><path class='o' d='M0-30A30 30 0 0 1 30 0M0 30A30 30 0 0 1-30 0'/>`,
  leaf: `<path class='f' d='M-34 34C-40-20 0-40 36-36 40 4 16 40-34 34Z'/><path class='o' d='M-38 38 22-22M-10 10V-14M2-2H20'/>`,
  lamp: `<path class='f' d='M-20-40H20L36 2H-36Z'/><path class='s' d='M-3 2H3V34H20V41H-20V34H-3Z'/>`,
  chair: `<path class='s' d='M-26-2H-18V42H-26ZM18 4H26V42H18Z'/><path class='f' d='M-28-42H-14V-4H28V10H-28Z'/>`,
  shirt: `<path class='f' d='M-18-38-44-20-34 0-24-6V40H24V-6L34 0 44-20 18-38C12-28-12-28-18-38Z'/><path class='o' d='M0-24V34'/>`,
  shoe: `<path class='f' d='M-42-22H-16C-8-4 14 0 36 6 44 9 44 22 42 24H-42Z'/><path class='s' d='M-44 24H44V32H-44Z'/>`,
  block: `<path class='f' d='M-40 0H-2V38H-40ZM-19-40H19V-4H-19Z'/><path class='s' d='M2 0H40V38H2Z'/>`,
  die: `<rect class='f' x='-36' y='-36' width='72' height='72' rx='12'/><circle class='s' r='7'/><circle class='s' cx='-18' cy='-18' r='7'/><circle class='s' cx='18' cy='18' r='7'/>`,
  bottle: `<path class='f' d='M-10-42H10V-22C24-14 24-6 24 4V40H-24V4C-24-6-24-14-10-22Z'/><path class='s' d='M-24 6H24V26H-24Z'/>`,
  wheel: `<path class='o' d='M-36 0H36M0-36V36M-26-26 26 26M-26 26 26-26'/><path class='f' d='M0-42A42 42 0 1 1 0 42 42 42 0 1 1 0-42ZM0-34A34 34 0 1 0 0 34 34 34 0 1 0 0-34Z'/><circle class='f' r='9'/>`,
  lens: `<path class='f' d='M-44-26H-30L-24-36H-6L0-26H44V32H-44Z'/><circle class='s' cy='3' r='20'/><circle class='f' cy='3' r='10'/>`,
  pen: `<g transform='rotate(40)'><path class='f' d='M-8-44H8V18H-8Z'/><path class='s' d='M-8 21H8L0 46Z'/></g>`,
  cup: `<path class='f' d='M-32-20H22V-12C46-14 44 20 18 20 12 34 4 36-5 36-22 36-32 26-32 14ZM22-4V12C36 10 34-4 22-4Z'/><path class='o' d='M-14-40V-28M4-40V-28'/>`,
  paw: `<ellipse class='f' cy='18' rx='24' ry='20'/><circle class='s' cx='-32' cy='-8' r='10'/><circle class='s' cx='-12' cy='-26' r='10'/><circle class='s' cx='12' cy='-26' r='10'/><circle class='s' cx='32' cy='-8' r='10'/>`,
  ball: `<circle class='f' r='40'/><path class='o' d='M-40 0C-14 12 14 12 40 0M0-40C-16-14-16 14 0 40'/>`,
  frame: `<path class='f' d='M-42-36H42V36H-42Z'/><path class='s' d='M-34-28H34V28H-34Z'/><path class='f' d='M-34 28-8-12 8 10 18 0 34 28Z'/>`,
  watch: `<path class='s' d='M-14-46H14V46H-14Z'/><circle class='f' r='28'/><path class='o' d='M0-18V0H12'/>`,
};

const MOTIF_NAMES = Object.keys(MOTIFS) as Motif[];
const MOTIF_OF_SECTION = new Map(
  DEPARTMENTS.flatMap((department) => department.sections.map((section) => [section.slug, department.motif] as const)),
);

/** The picture of an item as SVG text, below 1 kB; the same for the same id, whatever the world. */
export function pictureOf(item: string): string {
  const section = item.slice(0, Math.max(0, item.lastIndexOf('-')));
  const family = hash32(section);
  const variation = hash32(item);
  const motif = MOTIF_OF_SECTION.get(section) ?? MOTIF_NAMES[family % MOTIF_NAMES.length]!;
  const hue = ((family % 360) + (variation % 41) - 20 + 360) % 360;
  const second = (hue + 120 + ((variation >>> 8) % 120)) % 360;
  const tilt = ((variation >>> 16) % 31) - 15;
  const size = 0.9 + ((variation >>> 21) % 8) * 0.05;
  const light = 84 + ((variation >>> 24) % 9);
  const accent = `hsl(${second},62%,66%)`;
  // Attributes, not a style sheet: its rules would reach into a page that embeds the text.
  const shapes = MOTIFS[motif]
    .replaceAll(`class='f'`, `fill='hsl(${hue},58%,42%)'`)
    .replaceAll(`class='s'`, `fill='${accent}'`)
    .replaceAll(`class='o'`, `fill='none' stroke='${accent}' stroke-width='4'`);
  return (
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='-60 -60 120 120'>` +
    `<path fill='hsl(${hue},48%,${light}%)' d='M-60-60H60V60H-60Z'/>` +
    `<g transform='rotate(${tilt}) scale(${size.toFixed(2)})'>${shapes}</g></svg>`
  );
}

/** The same picture as a data: URL, below 1.5 kB, for catalogues that are shown where nothing serves pictures. */
export function pictureUrlOf(item: string): string {
  return `data:image/svg+xml,${pictureOf(item).replace(/[%#<>"]/g, encodeURIComponent)}`;
}
