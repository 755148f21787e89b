/**
 * The AnnounceBoard contract in Redis: one hash of the nodes that are announced and answer, by Redis's clock
 * (lua/announced.1.lua). A value that is not signed, where a secret is set, does not count.
 */
import type { AnnounceBoard, NodeIdentity } from '../../health/store.ts'
import { ANNOUNCED_KEY } from './keys.ts'
import type { SendingBoardContext } from './sendings.ts'
import { ANNOUNCED } from './scripts.ts'

/** In place of an empty signature. */
const NONE = '-'

/** The board as one node sees it. */
export function makeAnnounceBoard(
  { name, bootId }: NodeIdentity,
  { signer, run }: SendingBoardContext,
  leaseMs: number,
): AnnounceBoard {
  const own = `${bootId} ${signer.sign('announced', [name, bootId]) || NONE}`

  /** How many others are announced, once this node's own value is written; '' takes it back. */
  async function write(value: string): Promise<number> {
    const args = [name, value, String(leaseMs)]
    const others = await run((client) => ANNOUNCED.list(client, [ANNOUNCED_KEY], args), args.length)
    return others.filter((other, i) => {
      if (i % 2 === 1) return false
      const [boot = '', mac = ''] = (others[i + 1] ?? '').split(' ')
      return signer.verify(mac, 'announced', [other, boot])
    }).length
  }

  return { announced: () => write(own), leave: () => write('') }
}
