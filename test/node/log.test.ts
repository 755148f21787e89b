/** The log's lines, and what happens where they can't be written. */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type LogSettings, makeLog } from '../../src/node/log.ts'

let folder = ''
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'meridian-log-'))))
afterEach(() => rmSync(folder, { recursive: true }))

/** The lines of a log in a file. */
function logged(format: LogSettings['format'], write: (log: ReturnType<typeof makeLog>) => void): string[] {
  const file = join(folder, 'log')
  const fd = openSync(file, 'w')
  write(makeLog({ level: 'info', format, node: 'n1', fd }))
  closeSync(fd)
  return readFileSync(file, 'utf8').trim().split('\n')
}

test('a line of JSON names its node and process; a file is no terminal', () => {
  for (const format of ['json', undefined] as const) {
    const lines = logged(format, (log) => log.warn({ member: 'fra/web' }, 'it is down'))
    const told: unknown = JSON.parse(lines[0]!)
    expect(told).toMatchObject({ level: 'warn', node: 'n1', pid: process.pid, member: 'fra/web', msg: 'it is down' })
    expect(told).toHaveProperty('time', expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/))
  }
})

test('a line of text has the same, and steers no terminal', () => {
  const lines = logged('text', (log) => {
    log.info('serving')
    log.warn({ why: 'x' }, 'it is down: \u001B[2J')
    log.fatal('no')
    log.debug('not at this level')
  })
  const head = String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z n1\[${process.pid}\] `
  expect(lines).toEqual([
    expect.stringMatching(new RegExp(`${head}serving$`)),
    expect.stringMatching(new RegExp(`${head}warning it is down: \uFFFD\\[2J$`)),
    expect.stringMatching(new RegExp(`${head}fatal no$`)),
  ])
})

test.runIf(existsSync('/dev/full'))('a full disk stops nobody who logs', () => {
  const fd = openSync('/dev/full', 'w')
  for (const format of ['json', 'text'] as const) {
    const log = makeLog({ level: 'info', format, node: 'n1', fd })
    for (let i = 0; i < 10; i++) expect(() => log.info(`line ${i}`)).not.toThrow()
  }
  closeSync(fd)
})
