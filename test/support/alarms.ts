/** The alarms of deploy/prometheus, and promtool to evaluate them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { load } from 'js-yaml'

const FILE = resolve(import.meta.dirname, '../../deploy/prometheus/meridian.rules.yaml')

/** An alarm. */
export interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string }
}

export const ALARMS_TEXT: string = readFileSync(FILE, 'utf8')

/** A recording rule. */
export interface Recorded {
  readonly record: string
  readonly expr: string
}

const { groups }: { groups: readonly { rules: readonly (Rule | Recorded)[] }[] } = JSON.parse(
  JSON.stringify(load(ALARMS_TEXT)),
)
const rules = groups.flatMap((group) => group.rules)
export const ALARMS: readonly Rule[] = rules.filter((rule) => 'alert' in rule)
export const RECORDS: readonly Recorded[] = rules.filter((rule) => 'record' in rule)

/**
 * Runs tests in promtool's form over the alarms, evaluated every `intervalS` seconds; returns undefined when they pass, else
 * what promtool says. https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
 */
export function runPromtool(tests: readonly object[], intervalS: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-alarms-'))
  try {
    const file = join(folder, 'alarms.test.yaml')
    // JSON is YAML
    writeFileSync(file, JSON.stringify({ rule_files: [FILE], evaluation_interval: `${intervalS}s`, tests }))
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' })
    return status === 0 && stdout.includes('SUCCESS') ? undefined : `${stdout}${stderr}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}
