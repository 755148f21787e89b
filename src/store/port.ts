/** A Board across threads: a prober's thread speaks into a MessagePort, and the main thread says it to the real Board. */
import type { MessagePort } from 'node:worker_threads'
import type { Board, Heartbeat, ProberIdentity } from '../health/store.ts'
import type { Vote } from '../health/vote.ts'

/** What goes through the port: one call of Board each. */
export type Posting =
  | { readonly call: 'replace'; readonly prober: ProberIdentity; readonly votes: readonly Vote[] }
  | { readonly call: 'change'; readonly prober: ProberIdentity; readonly vote: Vote }
  | { readonly call: 'retire'; readonly prober: ProberIdentity; readonly targets: readonly string[] }
  | { readonly call: 'heartbeat'; readonly prober: ProberIdentity; readonly beat: Heartbeat }

/** A Board in another thread: what is said to it comes out at serveBoard() on the other end of the channel. */
export const portBoard = (port: MessagePort, prober: ProberIdentity): Board =>
  asBoard(prober, (posting) => port.postMessage(posting))

/** Says to `board` what portBoard() at the other end of the channel is told, until the port closes. */
export function serveBoard(port: MessagePort, board: Board, onRefused: (error: unknown) => void): void {
  port.on('message', (posting: Posting) => {
    pass(posting, board).catch(onRefused)
  })
}

async function pass(posting: Posting, board: Board): Promise<void> {
  switch (posting.call) {
    case 'replace':
      await board.replace(posting.votes)
      return
    case 'change':
      await board.change(posting.vote)
      return
    case 'retire':
      await board.retire(posting.targets)
      return
    case 'heartbeat':
      await board.heartbeat(posting.beat)
      return
  }
}

export function asBoard(prober: ProberIdentity, post: (posting: Posting) => void): Board {
  return {
    replace: async (votes) => post({ call: 'replace', prober, votes }),
    change: async (vote) => post({ call: 'change', prober, vote }),
    retire: async (targets) => post({ call: 'retire', prober, targets }),
    heartbeat: async (beat) => post({ call: 'heartbeat', prober, beat }),
  }
}
