import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { readAgentLine } from '../../../src/probe/checks/agent.ts'
import { type Peer, sees, targetOf, tcpPeer } from '../peers.ts'

test.each<[string, string, number | undefined]>([
  ['up', 'agent says up', undefined],
  ['Ready', 'agent says ready', undefined],
  ['up 75%', 'agent says 75%', 750],
  ['75%, up', 'agent says 75%', 750],
  ['0%', 'agent says 0%', 0],
  ['100%', 'agent says 100%', 1000],
  ['250%', 'agent says 250%', 1000],
  ['ready drain', 'agent says drain', 0],
  ['50%\tDRAIN', 'agent says drain', 0],
  ['up maxconn:30', 'agent says up', undefined],
  [' up # all is well', 'agent says up: all is well', undefined],
  ['80%#disk 1 of 5 is slow', 'agent says 80%: disk 1 of 5 is slow', 800],
])('%j passes', (line, reason, share) => {
  expect(readAgentLine(line)).toEqual({ passes: true, reason, ...(share !== undefined && { share }) })
})

test.each([
  ['down', 'agent says down'],
  ['up down', 'agent says down'],
  ['ready,100%,stopped', 'agent says stopped'],
  ['FAIL', 'agent says fail'],
  ['failed#no disk', 'agent says failed: no disk'],
  ['drain maint # until noon', 'agent says maint: until noon'],
])('%j fails', (line, reason) => {
  expect(readAgentLine(line)).toEqual({ passes: false, reason })
})

test.each([
  ['', 'agent says no word of health'],
  ['  ', 'agent says no word of health'],
  ['# up', 'agent says no word of health: # up'],
  ['uppish', 'agent says no word of health: uppish'],
  ['75', 'agent says no word of health: 75'],
  ['-5%', 'agent says no word of health: -5%'],
  ['7.5%', 'agent says no word of health: 7.5%'],
  ['maxconn:30', 'agent says no word of health: maxconn:30'],
  ['SSH-2.0\u0000\u001b[31m x', 'agent says no word of health: SSH-2.0 [31m x'],
])('%j says nothing of health', (line, reason) => {
  expect(readAgentLine(line)).toEqual({ passes: undefined, reason })
})

/** By the words between blanks, commas and tabs. */
const graveness = (line: string): 'passes' | 'down' | 'unknown' => {
  const words = line.split(/[ ,\t]/)
  if (['down', 'failed', 'maint'].some((one) => words.includes(one))) return 'down'
  return ['drain', '40%', '400%', 'up', 'ready'].some((one) => words.includes(one)) ? 'passes' : 'unknown'
}

test('whatever the line: a share from 0 to 1000 or none, printable words, and the gravest word decides', () => {
  const word = fc.constantFrom('up', 'ready', 'down', 'failed', 'maint', 'drain', '40%', '400%', 'maxconn:1', 'x', '')
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), fc.constantFrom(' ', ',', '\t'), fc.string(), (words, by, text) => {
      const line = words.join(by)
      const { passes, share = 0, reason } = readAgentLine(`${line}#${text}`)
      expect(passes).toBe({ passes: true, down: false, unknown: undefined }[graveness(line)])
      expect(share >= 0 && share <= 1000 && Number.isInteger(share)).toBe(true)
      expect(reason).not.toMatch(/\p{C}/u)
      expect(reason.length).toBeLessThan(250)
    }),
  )
})

const open: Peer[] = []
afterEach(() => open.splice(0).forEach((peer) => peer.close()))
const says = async (...chunks: string[]) => {
  const peer = await tcpPeer((socket) => {
    for (const chunk of chunks) socket.write(chunk)
  })
  open.push(peer)
  return targetOf({ type: 'agent' }, peer.port)
}

test('a line ends at its newline, also when the agent keeps the connection open', async () => {
  expect(await sees(await says('up 3', '0%\r\ndown\n'), 'pass', 'agent says 30%')).toMatchObject({ share: 300 })
  expect(await sees(await says('up\n'), 'pass', 'agent says up')).not.toHaveProperty('share')
  await sees(await says('down#no ', 'disk\n'), 'fail', 'agent says down: no disk')
})

test('a line ends where the agent closes', async () => {
  const peer = await tcpPeer((socket) => void socket.end('drain'))
  open.push(peer)
  expect(await sees(targetOf({ type: 'agent' }, peer.port), 'pass', 'agent says drain')).toMatchObject({ share: 0 })
})

test('a line is at most 1 KB', async () => {
  await sees(await says(`up ${' '.repeat(1021)}\n`), 'pass', 'agent says up')
  await sees(await says(`up ${' '.repeat(1022)}\n`), 'fail', "no end of the agent's line within 1024 bytes")
  await sees(await says('a'.repeat(2000)), 'fail', "no end of the agent's line within 1024 bytes")
})

test('the agent gets the text first, where there is one', async () => {
  const peer = await tcpPeer((socket) => {
    socket.on('data', (chunk) => void socket.end(`${chunk.toString() === 'web\n' ? 'up' : 'down'}\n`))
  })
  open.push(peer)
  await sees(targetOf({ type: 'agent', send: 'web' }, peer.port), 'pass', 'agent says up')
  await sees(targetOf({ type: 'agent', send: 'api' }, peer.port), 'fail', 'agent says down')
  await sees(targetOf({ type: 'agent' }, peer.port, 300), 'timeout', 'no line of the agent in 300ms')
})

test('a line without a word of health changes nothing; a connection without a line fails', async () => {
  await sees(await says('maxconn:30\n'), 'silence', 'agent says no word of health: maxconn:30')
  const peer = await tcpPeer((socket) => void socket.end())
  open.push(peer)
  await sees(targetOf({ type: 'agent' }, peer.port), 'fail', 'agent says nothing')
})
