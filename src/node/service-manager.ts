/**
 * Tells the service manager that started this process how it is: sd_notify(3), of systemd and others that know it.
 *
 *   starting ── ready() ──▶ serving ◀─▶ reloading() … ready()
 *                              │  └── every quarter of WATCHDOG_USEC, if every answering thread has beaten: WATCHDOG=1
 *                              ├── stopping() ──▶ the end
 *                              └── a successor calls succeed(): it is the main process now, and this one falls silent
 *
 * What can't be sent is sent again, in order. Used by run.ts and node/announce/run.ts; without NOTIFY_SOCKET nobody is told.
 */
import { linux } from '../linux/calls.ts'
import { sendDatagram } from '../linux/notify-socket.ts'

/** What is told of a running process, as it is now. */
export interface ProcessState {
  /** A number of each answering thread that changes while it works; 0 before its first beat. */
  beats(): readonly number[]
  /** One line for `systemctl status`. */
  inWords(): string
}

/** Sends a text; returns undefined, or the name of the error. */
export type Send = (text: string) => string | undefined

/** Variables that are for this process, and not for one that it starts: WATCHDOG_PID names it. */
export const OWN_VARIABLES: readonly string[] = ['WATCHDOG_PID']

/**
 * A process that was told to end takes no longer, besides what `announce.wait` has it wait: TimeoutStopSec of the units.
 */
export const STOP_MS = 30_000
/** How often what could not be sent is tried again. */
const AGAIN_MS = 1_000
/** How often the line for `systemctl status` is looked at, where there is no watchdog. */
const LOOK_MS = 5_000

/** The service manager of this process. */
export class ServiceManager {
  readonly #send: Send
  readonly #pingMs: number | undefined
  /** What is still to be sent, in order. */
  readonly #owed: string[] = []
  #told: ProcessState | undefined
  #isSilent = false
  #words = ''
  /** When the watchdog was fed last. */
  #beats: readonly number[] = []
  #turning: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined

  /** `watchdogMs`: the time within which it wants to hear of this process; undefined: it does not. */
  constructor(send: Send, watchdogMs?: number) {
    this.#send = send
    this.#pingMs = watchdogMs === undefined ? undefined : watchdogMs / 4
  }

  /**
   * The service manager that the variables name; undefined: there is none. `onTrouble` is called if it can't be told
   * anything: it will end a process of `Type=notify`.
   */
  static of(
    env: Readonly<Record<string, string | undefined>>,
    onTrouble: (trouble: string) => void,
  ): ServiceManager | undefined {
    const socket = env['NOTIFY_SOCKET']
    if (socket === undefined || socket === '') return undefined
    if ('missing' in linux) {
      onTrouble(`the service manager can't be told that this process serves: ${linux.missing}`)
      return undefined
    }
    const calls = linux
    const micros = Number(env['WATCHDOG_USEC'])
    const isOurs = env['WATCHDOG_PID'] === undefined || Number(env['WATCHDOG_PID']) === process.pid
    return new ServiceManager(
      (text) => sendDatagram(calls, socket, text),
      isOurs && micros > 0 ? micros / 1_000 : undefined,
    )
  }

  /** It serves: at the start, after a reload, and with `succeeds` as the successor of the main process. */
  ready(told: ProcessState, succeeds = false): void {
    if (this.#isSilent) return
    this.#told = told
    this.#words = told.inWords()
    this.#tell(...(succeeds ? [`MAINPID=${process.pid}`] : []), 'READY=1', `STATUS=${this.#words}`)
    this.#turning ??= setInterval(() => this.#turn(), this.#pingMs ?? LOOK_MS).unref()
  }

  /** It loads its files again; ready() ends that. */
  reloading(): void {
    if (this.#told === undefined) return
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`)
  }

  /**
   * It ends, `words` says how; with STOP_MS it may take `waitMs`. A successor that was never ready says nothing: the main
   * process goes on.
   */
  stopping(words: string, waitMs = 0): void {
    const more = waitMs > 0 ? [`EXTEND_TIMEOUT_USEC=${1_000 * (STOP_MS + waitMs)}`] : []
    if (this.#told !== undefined) this.#tell('STOPPING=1', ...more, `STATUS=${words}`)
    this.fallSilent()
  }

  /** Says nothing more: another process is the main one. */
  fallSilent(): void {
    clearInterval(this.#turning)
    this.#told = undefined
    this.#isSilent = true
  }

  #turn(): void {
    const told = this.#told
    if (told === undefined) return
    const words = told.inWords()
    if (words !== this.#words) {
      this.#words = words
      this.#tell(`STATUS=${words}`)
    }
    if (this.#pingMs === undefined) return
    const beats = told.beats()
    const isWell = beats.every((beat, i) => beat !== 0 && beat !== this.#beats[i])
    if (!isWell || this.#owed.length > 0) return
    this.#beats = beats
    this.#send('WATCHDOG=1\n') // if it is not taken, the next one comes soon
  }

  #tell(...lines: readonly string[]): void {
    this.#owed.push(lines.map((line) => `${line}\n`).join(''))
    this.#pay()
  }

  #pay(): void {
    clearTimeout(this.#again)
    while (this.#owed.length > 0 && this.#send(this.#owed[0]!) === undefined) this.#owed.shift()
    if (this.#owed.length > 0) this.#again = setTimeout(() => this.#pay(), AGAIN_MS).unref()
  }
}
