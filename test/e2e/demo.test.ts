/** `npm run demo` as a newcomer runs it: DB-IP's database, the fixed addresses, and what it prints to try. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/until.ts'

const running: ReturnType<typeof start>[] = []
afterEach(async () => {
  for (const { child, ended } of running.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
})

function start() {
  const child = spawn(process.execPath, ['src/main.ts', 'demo'], {
    cwd: resolve(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const demo = { child, out: '', ended: once(child, 'close') }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (demo.out += data.toString()))
  return demo
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** As the demo prints it. */
async function dig(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)('dig', [...line.split(' '), '+time=2', '+tries=2'])
  return stdout
}

/** Its addresses are fixed: when somebody else's demo has them, this one waits. */
async function startWhenFree() {
  return until('the demo’s addresses are free', async () => {
    const demo = start()
    running.push(demo)
    await Promise.race([demo.ended, until('sites', () => /sin pid/.test(demo.out))])
    return demo.out.includes('in use') ? undefined : demo
  })
}

test(
  'the demo answers by place, shows its scopes, fails over, and leaves nothing behind',
  { timeout: 150_000 },
  async () => {
    const demo = await startWhenFree()
    await until('the invitation', () => demo.out.includes('Ready.'), 90_000)
    const pids = [...demo.out.matchAll(/^site (fra|iad|sin) pid (\d+)$/gm)].map(([, , pid]) => Number(pid))
    expect(pids).toHaveLength(3)

    const lines = [...demo.out.matchAll(/^ +dig (.+?) +# (.*)$/gm)]
    expect(lines).toHaveLength(4)
    for (const [line, address] of [
      [lines[0]![1]!, '127.0.0.11'],
      [lines[1]![1]!, '127.0.0.12'],
      [lines[2]![1]!, '127.0.0.13'],
    ] as const) {
      const text = await dig(line)
      expect(text).toMatch(new RegExp(`^www\\.demo\\.example\\.\\s+\\d+\\s+IN\\s+A\\s+${address}$`, 'm'))
      const [, source, scope] = /CLIENT-SUBNET: [\d.]+\/(\d+)\/(\d+)/.exec(text)!
      expect(source).toBe('24')
      expect(Number(scope)).toBeGreaterThan(0)
      expect(await dig(line.replace(' A ', ' AAAA '))).toMatch(/status: NOERROR[^]*ANSWER: 0/)
    }

    expect(demo.out).toContain(`kill -STOP ${pids[0]}`)
    process.kill(pids[0]!, 'SIGSTOP')
    await until('Paris on iad', async () => (await dig(lines[0]![1]!)).includes('127.0.0.12'))

    const second = start()
    running.push(second)
    expect((await second.ended)[0]).toBe(1)
    expect(second.out.trim().split('\n')).toHaveLength(1)
    expect(second.out).toContain('127.0.0.1:5300 (UDP), 127.0.0.1:5300 (TCP), 127.0.0.1:8053 (TCP)')

    demo.child.kill('SIGINT')
    expect((await demo.ended)[0]).toBe(0)
    // a frozen one as well
    await until('all sites ended', () => !pids.some(isRunning))
  },
)
