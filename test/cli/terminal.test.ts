/** `meridian status` on a real terminal, which script(1) makes: colours, --watch, and its end. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { summaryOf } from '../../src/api/summary.ts'
import { MAIN } from '../support/program.ts'
import { until } from '../support/until.ts'
import { prober, served, snapshot } from './fleet.ts'

const hasScript = spawnSync('script', ['--version']).status === 0

let state = ''
let server: Server
let asked: string[] = []
beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'meridian-terminal-'))
  asked = []
  const body = JSON.stringify(summaryOf({ ...served(), health: snapshot, prober }, []))
  server = createServer((request, response) => {
    asked.push(request.url!)
    response.setHeader('content-type', 'application/json').end(body)
  })
  await new Promise<void>((done) => server.listen(join(state, 'control.sock'), done))
})
afterEach(() => {
  server.close()
  rmSync(state, { recursive: true })
})

function onTerminal(words: string, env: Readonly<Record<string, string>> = {}) {
  const { CI: _ci, NO_COLOR: _none, ...own } = process.env
  const line = `${process.execPath} ${MAIN} ${words} --state ${state}`
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    env: { ...own, TERM: 'xterm', ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return { child, out: text(child.stdout) }
}

test.runIf(hasScript)('it has colours, unless they are not wanted', async () => {
  const RED = '\u001B[31m'
  expect(await onTerminal('status').out).toContain(`${RED}LAST RESORT`)
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    const plain = await onTerminal('status', env).out
    expect(plain).toContain('LAST RESORT')
    expect(plain).not.toContain('\u001B')
  }
})

test.runIf(hasScript)(
  '--watch shows it again in the same place, also when the node was away, until Ctrl-C',
  async () => {
    const { child, out } = onTerminal('status --watch 0.5')
    await until('three looks', () => asked.length >= 3)
    const { promise: shown, resolve: onShown } = Promise.withResolvers<void>()
    child.stdout.on('data', (data: Buffer) => {
      if (data.toString().includes('no node answers')) onShown()
    })
    server.closeAllConnections()
    server.close()
    await shown
    child.kill('SIGTERM') // the terminal goes, and what runs on it
    await once(child, 'close')
    const screens = (await out).split('\u001B[H').slice(1)
    expect(screens.length).toBeGreaterThanOrEqual(4)
    for (const screen of screens.slice(0, -1)) expect(screen.split('\n').length).toBeLessThanOrEqual(25)
    expect(screens[0]).toContain('LAST RESORT')
    expect(asked.every((url) => url === '/api/summary')).toBe(true)
  },
)
