/** What we read in an agent's line is what HAProxy reads in it: the same lines, given to a real one. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAgentLine } from '../../src/probe/checks/agent.ts'
import { Haproxy, hasHaproxy } from './haproxy.ts'
import { ADDRESS, type Peer, tcpPeer } from './peers.ts'

const LINES = [
  'up',
  'ready',
  'UP 75%',
  '40%',
  '75%, up',
  'up 30% # slow disk',
  'drain',
  'ready drain',
  'down',
  'down # no disk',
  'fail # no disk',
  'stopped',
  'fail',
  'maint',
  'up maxconn:30',
  'maxconn:30',
  'hello',
]
const peers: Peer[] = []
let haproxy: Haproxy | undefined
beforeAll(async () => {
  if (!hasHaproxy) return
  const servers: string[] = []
  for (const [i, line] of LINES.entries()) {
    const peer = await tcpPeer((socket) => void socket.end(`${line}\n`))
    peers.push(peer)
    servers.push(`server s${i} ${ADDRESS}:9 weight 100 agent-check agent-inter 100ms agent-port ${peer.port}`)
  }
  haproxy = new Haproxy(servers)
})
afterAll(() => {
  haproxy?.stop()
  for (const peer of peers) peer.close()
})

test.skipIf(!hasHaproxy)('up, down, drained and how much of the weight', async () => {
  const rows = await haproxy!.rows('HAProxy has judged every agent', (read) =>
    LINES.every((_, i) => /^(L7|CHECKED)/.test(read.get(`s${i}`)?.agent ?? '')),
  )
  const theirs = LINES.map((line, i) => {
    const { status, weight } = rows.get(`s${i}`)!
    const drains = status.startsWith('DRAIN')
    const passes = drains || status.startsWith('UP') || status === 'no check'
    return `${line}: ${passes ? `passes with ${drains ? 0 : weight} %` : 'fails'}`
  })
  const ours = LINES.map((line) => {
    const { passes, share = 1000 } = readAgentLine(line)
    // HAProxy takes an agent to be up before its first word
    return `${line}: ${passes !== false ? `passes with ${share / 10} %` : 'fails'}`
  })
  expect(ours).toEqual(theirs)
})
