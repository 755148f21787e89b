/** The runbooks of alarms in docs/runbooks.md: one for each alarm, which leads there, and commands that there are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SETTING_KEYS } from '../../src/config.ts'
import { ALARMS } from '../support/alarms.ts'
import { parse, ROOT, wordsOf } from '../support/docs.ts'

const [, text = ''] = readFileSync(join(ROOT, 'docs/runbooks.md'), 'utf8').split('\n## Alarms\n')
const sections = text.split(/^### /m).slice(1)

/** Of Debian: what a host has, or gets with a package of that name. */
const PROGRAMS = [
  'curl', 'df', 'dig', 'git', 'ip', 'journalctl', 'ls', 'openssl', 'redis-cli', 'ss', 'sysctl', 'systemctl', 'tc',
  'tcpdump', 'timedatectl', 'top',
] // prettier-ignore

test('each alarm has a section, in the order of the rules, and leads to it', () => {
  expect(sections.map((section) => section.split('\n')[0])).toEqual(ALARMS.map(({ alert }) => alert))
  for (const { alert, annotations } of ALARMS)
    expect(annotations.runbook_url).toBe(`docs/runbooks.md#${alert.toLowerCase()}`)
})

test.each(sections.map((section) => [section.split('\n')[0], section] as const))(
  '%s: says what it means, where to look, and what to do',
  (_, section) => {
    const points = [...section.matchAll(/^- \*\*(.*?)\*\* \S/gm)].map(([, point]) => point)
    expect(points).toEqual(['Means:', 'Look:', 'Do:'])
    const spans = [...section.matchAll(/`([^`]+)`/g)].map(([, span]) => span!)
    const commands = spans.filter(
      (span) => /^[a-z][a-z-]*(?: |$)/.test(span) && (span.includes(' ') || PROGRAMS.includes(span)),
    )
    expect(commands.length).toBeGreaterThan(0)
    for (const command of commands) {
      const [program = '', ...words] = wordsOf(command)
      if (program === 'meridian') expect(parse(words), command).toBeUndefined()
      else expect(PROGRAMS, command).toContain(program)
    }
    for (const span of spans.filter((one) => /^[a-z]+\.[a-zA-Z]+$/.test(one)))
      expect(SETTING_KEYS, span).toContain(span)
    for (const [, anchor = ''] of section.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors, anchor).toContain(anchor)
  },
)

/** As GitHub makes them of headings. */
const anchors = [...readFileSync(join(ROOT, 'docs/runbooks.md'), 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
  heading!
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-'),
)
