/** The ways into a process where the machine lacks something. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isListening } from '../../src/api/listen.ts'
import type { Config } from '../../src/config.ts'
import { controlSocketOf, Doors, listenDns } from '../../src/node/doors.ts'
import { ListenError } from '../../src/server/front.ts'
import { configOf } from '../cli/fleet.ts'

let folder = ''
let lines: string[] = []
const log = pino({ base: null }, { write: (line: string) => void lines.push(line) })
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-doors-'))
  lines = []
})
afterEach(() => rmSync(folder, { recursive: true }))

const shown = {
  readiness: () => ({ ready: true, reasons: [], warnings: [] }),
  metrics: async () => '',
  status: async () => ({}),
  summary: async () => ({}),
}

test('a control socket that cannot be made is trouble, and made once it can be', async () => {
  const state = join(folder, 'state')
  writeFileSync(state, '')
  const config = configOf({ state })
  const doors = new Doors({ config, log, takeover: false, shown })
  await doors.listenControl()
  await doors.listenControl()
  expect(doors.troubles).toEqual([expect.stringMatching(/control\.sock: the control socket can't be made: E/)])
  expect(lines).toHaveLength(1)
  rmSync(state)
  await doors.listenControl()
  expect([doors.troubles, await isListening(controlSocketOf(config))]).toEqual([[], true])
  await doors.stop()
})

test('a process whose control socket could not be made does not take that of one that came since', async () => {
  const state = join(folder, 'state')
  writeFileSync(state, '')
  const config = configOf({ state })
  const first = new Doors({ config, log, takeover: false, shown })
  await first.listenControl()
  rmSync(state)
  const second = new Doors({ config, log, takeover: false, shown })
  await second.listenControl()
  const { ino } = statSync(controlSocketOf(config))
  await first.listenControl()
  expect(first.troubles).toEqual([expect.stringContaining('another process uses it')])
  expect(statSync(controlSocketOf(config)).ino).toBe(ino)
  await second.stop()
  await first.listenControl()
  expect([first.troubles, await isListening(controlSocketOf(config))]).toEqual([[], true])
  await first.stop()
})

test('a control socket that cannot be shared with its group stays its owner’s, and that is trouble', async () => {
  const state = join(folder, 'state')
  const config = configOf({ state, 'control.group': 'no-such-group-here' })
  const doors = new Doors({ config, log, takeover: false, shown })
  await doors.listenControl()
  expect(doors.troubles).toEqual([
    expect.stringMatching(/^control\.group: no-such-group-here can't use .*no such group/),
  ])
  expect(statSync(controlSocketOf(config)).mode & 0o777).toBe(0o600)
  await doors.stop()
})

test('a control socket is shared with its group', async () => {
  const gid = process.getgid!()
  const config = configOf({ state: join(folder, 'state'), 'control.group': String(gid) })
  const doors = new Doors({ config, log, takeover: false, shown })
  await doors.listenControl()
  const socket = statSync(controlSocketOf(config))
  expect([doors.troubles, socket.mode & 0o777, socket.gid]).toEqual([[], 0o660, gid])
  await doors.stop()
})

/** As on a kernel with `ipv6.disable=1`. */
async function startWithoutIPv6(listen: Config['listen']): Promise<Config['listen']> {
  const v6 = listen.find(({ address }) => address.includes(':'))
  if (v6 !== undefined) throw new ListenError(v6, 'TCP', 'EAFNOSUPPORT')
  return listen
}

test('a kernel without IPv6 serves IPv4 where nobody chose the addresses', async () => {
  expect(await listenDns(configOf({}), log, startWithoutIPv6)).toEqual([{ address: '0.0.0.0', port: 53 }])
  expect(lines).toEqual([expect.stringContaining('this kernel has no IPv6: only IPv4 is served')])
})

test('an address that was chosen is an error where there is none', async () => {
  const chosen = listenDns(configOf({ listen: '[::1]:5300' }), log, startWithoutIPv6)
  await expect(chosen).rejects.toThrow('[::1]:5300 (TCP): this kernel has no such addresses (IPv6 is off?)')
})
