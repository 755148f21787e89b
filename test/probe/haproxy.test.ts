/** What we read in an agent's line is what HAProxy reads in it: the same lines, given to a real one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readAgentLine } from '../../src/probe/checks/agent.ts'
import { until } from '../support/until.ts'
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
]
const hasHaproxy = spawnSync('haproxy', ['-v']).status === 0

const peers: Peer[] = []
let folder = ''
let haproxy: ChildProcess | undefined
beforeAll(async () => {
  if (!hasHaproxy) return
  folder = mkdtempSync(join(tmpdir(), 'meridian-haproxy-'))
  const servers: string[] = []
  for (const [i, line] of LINES.entries()) {
    const peer = await tcpPeer((socket) => void socket.end(`${line}\n`))
    peers.push(peer)
    servers.push(`server s${i} ${ADDRESS}:9 weight 100 agent-check agent-inter 100ms agent-port ${peer.port}`)
  }
  const config = `global
  stats socket ${folder}/socket
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend sites
  ${servers.join('\n  ')}
`
  writeFileSync(join(folder, 'config'), config)
  haproxy = spawn('haproxy', ['-db', '-f', join(folder, 'config')], { stdio: 'ignore' })
})
afterAll(() => {
  haproxy?.kill('SIGKILL')
  for (const peer of peers) peer.close()
  if (folder !== '') rmSync(folder, { recursive: true })
})

interface Row {
  readonly status: string
  readonly weight: number
  /** `L7…`, or CHECKED where the line tells no state, once it has judged one. */
  readonly agent: string
}

/** `show stat` of HAProxy: by the server's name. */
async function stats(): Promise<ReadonlyMap<string, Row>> {
  const socket = connect(join(folder, 'socket'))
  socket.write('show stat\n') // a half-closed one gets no answer
  const [head = '', ...rows] = (await text(socket).catch(() => '')).split('\n')
  const columns = head.replace('# ', '').split(',')
  const of = (row: readonly string[], column: string): string => row[columns.indexOf(column)] ?? ''
  return new Map(
    rows
      .map((row) => row.split(','))
      .map((row) => [
        of(row, 'svname'),
        { status: of(row, 'status'), weight: Number(of(row, 'weight')), agent: of(row, 'agent_status') },
      ]),
  )
}

test.skipIf(!hasHaproxy)('up, down, drained and how much of the weight', async () => {
  let rows: ReadonlyMap<string, Row> = new Map()
  const judged = () => LINES.every((_, i) => /^(L7|CHECKED)/.test(rows.get(`s${i}`)?.agent ?? ''))
  const timer = setInterval(() => void stats().then((read) => (rows = read)), 50)
  try {
    await until('HAProxy has judged every agent', judged)
  } finally {
    clearInterval(timer)
  }
  const theirs = LINES.map((line, i) => {
    const { status, weight } = rows.get(`s${i}`)!
    const drains = status.startsWith('DRAIN')
    const passes = drains || status.startsWith('UP') || status === 'no check'
    return `${line}: ${passes ? `passes with ${drains ? 0 : weight} %` : 'fails'}`
  })
  const ours = LINES.map((line) => {
    const { passes, share = 1000 } = readAgentLine(line)
    return `${line}: ${passes ? `passes with ${share / 10} %` : 'fails'}`
  })
  expect(ours).toEqual(theirs)
})
