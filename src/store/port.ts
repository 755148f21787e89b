/** A Board across threads: a prober's thread speaks into a MessagePort, and the main thread says it to the real Board. */
import type { MessagePort } from 'node:worker_threads'
import type { ProberWriter, Heartbeat, ProberIdentity } from '../health/store.ts'
import type { Vote } from '../health/vote.ts'

/** What goes through the port: one call of Board each. */
export type WriterCall =
  | { readonly method: 'replace'; readonly prober: ProberIdentity; readonly votes: readonly Vote[] }
  | { readonly method: 'change'; readonly prober: ProberIdentity; readonly vote: Vote }
  | { readonly method: 'retire'; readonly prober: ProberIdentity; readonly targets: readonly string[] }
  | { readonly method: 'heartbeat'; readonly prober: ProberIdentity; readonly beat: Heartbeat }

/** A Board in another thread: what is said to it comes out at serveBoard() on the other end of the channel. */
export const portWriter = (port: MessagePort, prober: ProberIdentity): ProberWriter =>
  callWriter(prober, (call) => port.postMessage(call))

/** Says to `board` what portBoard() at the other end of the channel is told, until the port closes. */
export function serveWriter(port: MessagePort, writer: ProberWriter, onRefused: (error: unknown) => void): void {
  port.on('message', (call: WriterCall) => {
    pass(call, writer).catch(onRefused)
  })
}

async function pass(call: WriterCall, writer: ProberWriter): Promise<void> {
  switch (call.method) {
    case 'replace':
      await writer.replace(call.votes)
      return
    case 'change':
      await writer.change(call.vote)
      return
    case 'retire':
      await writer.retire(call.targets)
      return
    case 'heartbeat':
      await writer.heartbeat(call.beat)
      return
  }
}

export function callWriter(prober: ProberIdentity, send: (call: WriterCall) => void): ProberWriter {
  return {
    replace: async (votes) => send({ method: 'replace', prober, votes }),
    change: async (vote) => send({ method: 'change', prober, vote }),
    retire: async (targets) => send({ method: 'retire', prober, targets }),
    heartbeat: async (beat) => send({ method: 'heartbeat', prober, beat }),
  }
}
