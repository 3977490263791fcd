/**
 * The configuration in prose: a Markdown table of every key, and a sample file with every default.
 *
 * Both are rendered from the same declarations the parser uses and are checked in (streams/CONFIG.md and
 * freshet.sample.yaml); a test compares them, so that documentation cannot fall behind.
 *
 * Invariant: the sample is itself a valid configuration and means exactly the defaults.
 */
import type { SectionDescription, SettingDescription } from './config.js';
import { renderYaml } from './yaml.js';

export function renderConfigReference(sections: readonly SectionDescription[]): string {
  const lines = [
    '# Configuration reference',
    '',
    'Generated from the declarations beside the code that reads them; edit those. Values come from the YAML file given',
    'with `--config`, over it the environment variables named below (secrets and addresses only), over those',
    '`--set section.key=value`. All faults of a configuration are reported at once.',
    '',
  ];
  for (const { name, description, settings } of sections) {
    lines.push(`## ${name}`, '', description, '');
    lines.push('| key | type | default | unit | what it does |', '|---|---|---|---|---|');
    for (const setting of settings) {
      const cells = [
        `\`${setting.key}\``,
        setting.type,
        setting.defaultValue === undefined ? '–' : `\`${JSON.stringify(setting.defaultValue)}\``,
        setting.unit ?? '',
        setting.description + environmentNote(setting),
      ];
      lines.push(`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

export function renderSampleConfig(sections: readonly SectionDescription[]): string {
  const lines = ['# Freshet configuration: every key with its default. Keep only what you change.', ''];
  for (const { name, description, settings } of sections) {
    const isEmpty = settings.every(isLeftOut);
    lines.push(...comment(description, ''), isEmpty ? `${name}: {}` : `${name}:`);
    for (const setting of settings) {
      const unit = setting.unit === undefined ? '' : `, ${setting.unit}`;
      lines.push(...comment(`${setting.description} (${setting.type}${unit})${environmentNote(setting)}`, '  '));
      if (isLeftOut(setting)) lines.push(`  # ${setting.key}:`);
      else lines.push(...indent(renderYaml({ [setting.key]: setting.defaultValue })));
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** Secrets do not belong into files, and an optional key has no value to show. */
function isLeftOut(setting: SettingDescription): boolean {
  return setting.secret !== undefined || setting.defaultValue === undefined;
}

function environmentNote({ secret, address }: SettingDescription): string {
  if (secret !== undefined) return ` Secret; set it by ${secret}.`;
  return address === undefined ? '' : ` May be set by ${address}.`;
}

function indent(yaml: string): string[] {
  return yaml
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`);
}

const COMMENT_WIDTH = 110;

function comment(text: string, margin: string): string[] {
  const lines: string[] = [];
  let line = `${margin}#`;
  for (const word of text.split(/\s+/)) {
    if (line.length + word.length >= COMMENT_WIDTH) {
      lines.push(line);
      line = `${margin}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
