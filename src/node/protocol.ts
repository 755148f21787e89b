/** Makes the Protocol of the answering threads from the settings. Called by node.ts. */
import type { Protocol } from '../answer/protocol.ts'
import type { Config } from '../config.ts'
import type { TsigKey } from '../dns/tsig.ts'

/** What the settings say about the protocol, with the keys of `tsig.keys` as they are now. */
export const protocolOf = (config: Config, tsigKeys: readonly TsigKey[]): Protocol => ({
  nsid: bytesOf(config['node.nsid'] ?? ''),
  tsigKeys,
})

/** The bytes that a text stands for: of `0x0a0b` its digits', else those of its characters. */
const bytesOf = (text: string): Uint8Array =>
  new Uint8Array(text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text))
