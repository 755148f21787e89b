/** `meridian external-dns`: the process beside external-dns that turns its records into zone files. Called by the command line. */
import { listenTcp } from '../api/listen.ts'
import { makeExposed, makeWebhook } from '../api/external-dns.ts'
import type { Config } from '../config.ts'
import { Provider } from '../external-dns/provider.ts'
import { messageOf, StartError } from '../problem.ts'
import { type Endpoint, formatEndpoint } from '../units.ts'
import { makeLog } from './log.ts'
import type { Surroundings } from './run.ts'

/** What the command line says. */
export interface ExternalDnsOptions {
  readonly cluster: string
  readonly domains: readonly string[]
  /** Where external-dns asks. */
  readonly listen: Endpoint
  /** Where /healthz and /metrics are. */
  readonly expose: Endpoint
}

/** A load of a large folder takes longer than a node's API may. */
const SILENT_MS = 600_000

/** Serves until a signal; resolves to the exit code. Throws StartError. */
export async function serveExternalDns(
  config: Config,
  { cluster, domains, listen, expose }: ExternalDnsOptions,
  { untilSignal }: Surroundings,
): Promise<number> {
  const log = makeLog({ level: config['log.level'], format: config['log.format'], node: `external-dns-${cluster}` })
  const { zones: folder } = config
  const provider = await starting(
    folder,
    Provider.open({ folder, cluster, domains, onWarn: (message) => log.warn(message) }),
  )
  const webhook = makeWebhook(provider, (message) => log.error(message))
  const at = async (app: Parameters<typeof listenTcp>[0], { address, port }: Endpoint) =>
    starting(formatEndpoint({ address, port }), listenTcp(app, address, port, { silentMs: SILENT_MS }))
  const servers = [await at(webhook, listen), await at(makeExposed(provider), expose)]
  log.info(
    `cluster ${cluster}: ${provider.counts.endpoints} endpoints in ${folder}; external-dns asks at ${formatEndpoint(listen)}`,
  )
  await untilSignal()
  for (const server of servers) await server.stop()
  log.info('stopped')
  return 0
}

/** What starts, or why it does not. `what`: what it is about. */
const starting = async <T>(what: string, start: Promise<T>): Promise<T> =>
  start.catch((error: unknown) => Promise.reject(new StartError(`${what}: ${messageOf(error)}`, [])))
