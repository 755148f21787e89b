/**
 * Hostile TCP clients, in a process of their own: `startLoad()` forks this file, which opens connections of one kind and
 * opens them again when the server closes them. Everything is bounded: the number of connections, and of new ones a second.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setPriority } from 'node:os'
import type { Endpoint } from '../../src/units.ts'
import { framed, query, TYPE } from '../server/client.ts'
import { type Scene, SITES_YAML, ZONE } from '../support/scene.ts'

/**
 * `pipeline`: asks without end, and reads. `unread`: asks for 60 kB again and again, and reads nothing. `sip`: the same, and
 * reads a little each second. `half`: all of a long query but its end. `drip`: a long query byte by byte. `garbage`: what
 * gets no answer. `mute`: says nothing. `churn`: connects and resets.
 */
export type Kind = 'pipeline' | 'unread' | 'sip' | 'half' | 'drip' | 'garbage' | 'mute' | 'churn'

export interface LoadSettings {
  readonly kind: Kind
  readonly to: Endpoint
  /** Held open at the same time. */
  readonly connections: number
  /** How many source addresses they are divided over, from 127.10.0.1 on. */
  readonly addresses: number
  /** Most new connections in a second. */
  readonly perSecond?: number
}

export interface LoadCounts {
  readonly open: number
  readonly opened: number
  /** Opened, and ended by the server. */
  readonly closed: number
  readonly bytesRead: number
}

export interface Load {
  /** As of the last 200 ms. */
  readonly counts: LoadCounts
  stop(): Promise<void>
}

const BIG_NAME = 'big.demo.example'
const DEAR_NAME = 'w.demo.example'

/** The scene's zone, with an answer of 60 kB, and one that costs much and is small: of 32 sites none is usable. */
export function writeZone(scene: Scene): void {
  const texts = Array.from({ length: 283 }, (_, i) => `"${String(i).padStart(199, 'x')}"`)
  const sites = Array.from({ length: 32 }, (_, i) => `w${i}`)
  const vips = sites.map((site, i) => `    ${site}: {vips: [198.51.100.${i + 1}], drained: true}`)
  scene.write(
    'sites.yaml',
    SITES_YAML + sites.map((site, i) => `${site}: {location: [${i}, ${i}], region: eu}\n`).join(''),
  )
  scene.write('services.yaml', [`${scene.servicesYaml()}wide:`, '  sites:', ...vips, '  check: none\n'].join('\n'))
  scene.write(
    'demo.example.yaml',
    `${ZONE}w: {type: GSLB, service: wide}\nbig: {type: TXT, values: [${texts.join(', ')}]}\n`,
  )
}

const COUNT_MS = 200
/** Elsewhere attackers have machines of their own: here they take no CPU from what they attack. */
const NICE = 5

export async function startLoad(settings: LoadSettings): Promise<Load> {
  const child = fork(import.meta.filename, [JSON.stringify(settings)])
  let counts: LoadCounts = { open: 0, opened: 0, closed: 0, bytesRead: 0 }
  child.on('message', (message: LoadCounts) => (counts = message))
  await once(child, 'message')
  setPriority(child.pid!, NICE)
  return {
    get counts() {
      return counts
    },
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const addressOf = (n: number): string => `127.10.${n >> 8}.${n & 255 || 255}`
const PIPELINED = Buffer.concat(Array.from({ length: 50_000 }, (_, id) => framed(query(id & 0xffff, DEAR_NAME))))
const BIG = Buffer.concat(Array.from({ length: 20 }, (_, id) => framed(query(id, BIG_NAME, TYPE.TXT))))
/** Messages of no bytes, 131,072 of them. More would cost the server what it costs this machine to throw them away. */
const GARBAGE = Buffer.alloc(256 << 10)
const HALF = Buffer.concat([Buffer.of(0xff, 0xff), Buffer.alloc(65_534)])

/** Asks for as long as the connection takes it. */
function pour(socket: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  }
  socket.on('drain', () => setImmediate(more))
  more()
}

/** Does something every `ms` while the connection lasts. */
function every(socket: Socket, ms: number, act: () => void): void {
  const timer = setInterval(act, ms)
  socket.once('close', () => clearInterval(timer))
}

function behave(kind: Kind, socket: Socket): void {
  switch (kind) {
    case 'pipeline':
      return pour(socket, PIPELINED)
    case 'unread':
      socket.pause()
      return pour(socket, BIG)
    case 'sip':
      socket.pause()
      every(socket, 1000, () => void socket.read(1000))
      return pour(socket, BIG)
    case 'half':
      return void socket.write(HALF)
    case 'drip':
      socket.write(Buffer.of(0xff, 0xff))
      return every(socket, 10, () => void socket.write(Buffer.of(0)))
    case 'garbage':
      return pour(socket, GARBAGE)
    case 'mute':
      return
    case 'churn':
      return void socket.resetAndDestroy()
    default:
      kind satisfies never
  }
}

function attack({ kind, to, connections, addresses, perSecond = 2000 }: LoadSettings): void {
  const counts = { open: 0, opened: 0, closed: 0, bytesRead: 0 }
  let begun = 0
  let pending = 0
  const open = (): void => {
    pending++
    const socket = connect({ host: to.address, port: to.port, localAddress: addressOf(1 + (begun++ % addresses)) })
    let isOpen = false
    if (kind !== 'unread' && kind !== 'sip') socket.on('data', (chunk: Buffer) => (counts.bytesRead += chunk.length))
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.once('connect', () => {
      isOpen = true
      counts.open++
      counts.opened++
      behave(kind, socket)
    })
    socket.once('close', () => {
      pending--
      if (!isOpen) return
      counts.open--
      counts.closed++
    })
  }
  const startedMs = performance.now()
  setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * perSecond
    if (begun < due - perSecond) begun = Math.floor(due - perSecond) // no more than a second is made up for
    for (let more = Math.min(connections - pending, Math.floor(due - begun)); more > 0; more--) open()
  }, 5)
  setInterval(() => process.send!(counts), COUNT_MS)
  process.once('disconnect', () => process.exit())
}

if (process.argv[1] === import.meta.filename) attack(JSON.parse(process.argv[2]!))
