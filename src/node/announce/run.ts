/**
 * `meridian announce`: a process beside a node that announces its addresses while it answers. It is no part of the node, so
 * that a node that hangs is withdrawn, and so that only this process may change routes. Called by the command line. SIGTERM
 * and SIGINT withdraw, unless too few others are announced. A service manager is told all along.
 */
import { randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { writeSync } from 'node:fs'
import type { AnnounceReport, NodeWord } from '../../api/announcing.ts'
import type { Config, Log } from '../../config.ts'
import { messageOf, StartError } from '../../problem.ts'
import { controlSocketOf } from '../doors.ts'
import { makeLog } from '../log.ts'
import { ServiceManager } from '../service-manager.ts'
import type { Surroundings } from '../run.ts'
import { makeStore } from '../wiring.ts'
import { Announcer, TELL_MS } from './announcer.ts'
import { canariesOf } from './canary.ts'
import { announcedPrefixes, formOf } from './forms.ts'

/**
 * Announces until a signal; resolves to the exit code. `withdraws`: only withdraws what a process before it has left
 * announced, unless too few others are. Throws StartError.
 */
export async function announce(config: Config, withdraws: boolean, { untilSignal }: Surroundings): Promise<number> {
  const form = config['announce.form']
  if (form === undefined || form === 'http') {
    const what =
      form === undefined ? 'the setting announce.form is missing' : 'the form http is served by the node itself'
    throw new StartError(`nothing to announce: ${what}`)
  }
  // what this process prints is ExaBGP's
  const fd = form === 'exabgp' ? 2 : 1
  const logger = makeLog({ level: config['log.level'], format: config['log.format'], node: config['node.name'], fd })
  const log: Log = (level, message, fields) => logger[level](fields ?? {}, message)
  if (form === 'exabgp') process.stdin.resume() // it acknowledges each line, and must not wait for a reader
  const store = makeStore(config, 'node', logger)
  const announcer = new Announcer({
    canaries: canariesOf(config),
    form: formOf(config, (line) => writeSync(1, `${line}\n`)),
    board: store.shared ? store.announceBoard({ name: config['node.name'], bootId: randomUUID() }) : undefined,
    others: config['announce.others'],
    tell: (report) => tell(controlSocketOf(config), report),
    log,
  })
  const what = announcedPrefixes(config['announce.addresses']).join(', ')
  if (withdraws) await announcer.withdrawLeft()
  else {
    log('info', `watching the node: ${what} is announced while it answers (${form})`)
    const manager = ServiceManager.of(process.env, (trouble) => log('warn', trouble))
    await announcer.start()
    manager?.ready({ beats: () => [announcer.looks], inWords: () => announcer.inWords })
    await untilSignal()
    manager?.stopping('withdrawing')
    await announcer.stop()
  }
  await store.close()
  return 0
}

/** Sends a report to the node. */
function tell(socketPath: string, report: AnnounceReport): Promise<NodeWord> {
  const body = JSON.stringify(report)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  const options = { socketPath, path: '/api/announce', method: 'POST', headers, agent: false }
  return new Promise((done, failed) => {
    // agent: false, for no kept-alive connection: the socket may belong to a successor by now
    const sent = request({ ...options, signal: AbortSignal.timeout(TELL_MS) }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', failed)
      response.on('end', () => {
        try {
          if (response.statusCode !== 200) throw new Error(text)
          const word: NodeWord = JSON.parse(text)
          done(word)
        } catch (error) {
          failed(new Error(messageOf(error)))
        }
      })
    })
    sent.once('error', failed)
    sent.end(body)
  })
}
