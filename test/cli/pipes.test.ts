/** What a command prints reaches its reader whole, or its exit code says that it did not. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Status, statusOf } from '../../src/api/status.ts'
import { MAIN } from '../support/program.ts'
import { served } from './fleet.ts'

const PIPE_BYTES = 65_536

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-pipes-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a shell's line, in which `$MERIDIAN` is the program; resolves to its exit code and its output. */
async function shell(line: string) {
  const env = { ...process.env, MERIDIAN: `${process.execPath} ${MAIN}` }
  const child = spawn('bash', ['-c', line], { env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { code: Number(code), out: out.trim(), err: err.trim() }
}

/** Begins to read when the pipe is full, or its writer has ended. */
const SLOWLY = '{ head -c 1; sleep 0.5; cat; }'

test('what is longer than a pipe holds is not cut', async () => {
  const { code, err } = await shell(`$MERIDIAN schema > file && $MERIDIAN schema | ${SLOWLY} > piped`)
  expect([code, err]).toEqual([0, ''])
  const file = readFileSync(join(folder, 'file'), 'utf8')
  expect(file.length).toBeGreaterThan(PIPE_BYTES)
  expect(readFileSync(join(folder, 'piped'), 'utf8')).toBe(file)
})

test('problems on stderr are not cut either, and the exit code stays', async () => {
  const words = Array.from({ length: 900 }, (_, i) => `--listen '192.0.2.1:${'9'.repeat(90)}${i}'`).join(' ')
  const { out } = await shell(`{ $MERIDIAN check ${words} 2>&1 >/dev/null; echo "code $?"; } | ${SLOWLY}`)
  expect(out.length).toBeGreaterThan(PIPE_BYTES)
  expect(out).toContain(`${'9'.repeat(90)}899`)
  expect(out).toMatch(/^code 1$/m)
})

test('a status of 10 MB is the same through a pipe, into a file and over the socket', async () => {
  const status: Status = JSON.parse(JSON.stringify(statusOf(served())))
  const [service] = status.services
  const many = Array.from({ length: 1 + Math.ceil(10_000_000 / JSON.stringify(service).length) }, () => service)
  const body = JSON.stringify({ ...status, services: many })
  const server = createServer((_request, response) => response.setHeader('content-type', 'application/json').end(body))
  await new Promise<void>((done) => server.listen(join(folder, 'control.sock'), done))
  const { out, err } = await shell(
    `$MERIDIAN status --json --state . > file; $MERIDIAN status --json --state . | { sleep 0.5; wc -c; }`,
  )
  server.close()
  expect(err).toBe('')
  expect(body.length).toBeGreaterThan(10_000_000)
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe(`${body}\n`)
  expect(Number(out)).toBe(statSync(join(folder, 'file')).size)
})

test.skipIf(!existsSync('/dev/full'))('a full disk is an error, and told', async () => {
  for (const words of ['schema', 'schema zone', '--version', '--help']) {
    const { code, err } = await shell(`$MERIDIAN ${words} > /dev/full`)
    expect([code, err], words).toEqual([1, expect.stringMatching(/^meridian: the output can't be written: ENOSPC/)])
  }
})

test('a disk that takes only a part is an error, too', async () => {
  const { code, err } = await shell('ulimit -f 8; $MERIDIAN schema > part')
  expect([code, err]).toEqual([1, expect.stringMatching(/^meridian: the output can't be written: EFBIG/)])
  expect(statSync(join(folder, 'part')).size).toBe(8 * 1024)
})

test('a reader that has enough is none', async () => {
  const { code, out, err } = await shell('$MERIDIAN schema | head -c 10; echo " ${PIPESTATUS[0]}"')
  expect([code, out.endsWith(' 0'), err]).toEqual([0, true, ''])
})
