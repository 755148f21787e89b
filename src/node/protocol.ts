/** Makes the Protocol of the answering threads from the settings. Called by node.ts. */
import { randomBytes } from 'node:crypto'
import { ACCOUNTS, type Limits, makeLimits } from '../answer/abuse/limits.ts'
import type { Protocol } from '../answer/protocol.ts'
import type { Config } from '../config.ts'
import type { TsigKey } from '../dns/tsig.ts'

/**
 * What the settings say about the protocol, with the keys of `tsig.keys` as they are now. `limits`: of limitsOf(), the
 * same each time, because they hold what is known of the clients.
 */
export const protocolOf = (config: Config, limits: Limits, tsigKeys: readonly TsigKey[]): Protocol => ({
  nsid: bytesOf(config['node.nsid'] ?? ''),
  tsigKeys,
  limits,
})

/** The rate limits that the settings ask for, with nobody proven. */
export const limitsOf = (config: Config): Limits =>
  makeLimits(
    {
      perSecond: ACCOUNTS.map((account) => config[`limits.${account}`]),
      unproven: config['limits.unproven'],
      slip: config['limits.slip'],
      exempt: config['limits.exempt'],
      threads: config.threads,
    },
    randomBytes(4).readInt32LE(),
  )

/** The bytes that a text stands for: of `0x0a0b` its digits', else those of its characters. */
const bytesOf = (text: string): Uint8Array =>
  new Uint8Array(text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text))
