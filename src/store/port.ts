/**
 * A ProberWriter across threads: a prober's thread calls one end of a MessageChannel, the main thread passes the calls
 * to the real ProberWriter.
 */
import type { MessagePort } from 'node:worker_threads'
import type { ProberWriter, Heartbeat, ProberIdentity } from '../health/store.ts'
import type { Vote } from '../health/vote.ts'

/** A call of ProberWriter as a message. */
export type WriterCall =
  | { readonly method: 'replace'; readonly prober: ProberIdentity; readonly votes: readonly Vote[] }
  | { readonly method: 'change'; readonly prober: ProberIdentity; readonly vote: Vote }
  | { readonly method: 'retire'; readonly prober: ProberIdentity; readonly targets: readonly string[] }
  | { readonly method: 'heartbeat'; readonly prober: ProberIdentity; readonly beat: Heartbeat }

/**
 * A ProberWriter whose calls serveWriter() receives at the other end of the channel. Calls resolve when they are sent.
 */
export const portWriter = (port: MessagePort, prober: ProberIdentity): ProberWriter =>
  callWriter(prober, (call) => port.postMessage(call))

/** Passes the calls of portWriter() at the other end to `writer` until the port closes; `onRefused` gets its errors. */
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

/** A ProberWriter that turns each call into a message. */
export function callWriter(prober: ProberIdentity, send: (call: WriterCall) => void): ProberWriter {
  return {
    replace: async (votes) => send({ method: 'replace', prober, votes }),
    change: async (vote) => send({ method: 'change', prober, vote }),
    retire: async (targets) => send({ method: 'retire', prober, targets }),
    heartbeat: async (beat) => send({ method: 'heartbeat', prober, beat }),
  }
}
