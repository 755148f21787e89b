/** Runs code inside a live thread, as a debugger would: how tests make one die or stand still. */
import { Session } from 'node:inspector'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from './client.ts'

/** For the code to have begun; a thread with a debugger attached would wait for it before it ends. */
const DETACH_MS = 100

/** In the oldest thread of that name (a spare is younger than the thread that answers). */
export async function runInThread(name: string, expression: string): Promise<void> {
  const session = new Session()
  session.connect()
  const found: { readonly thread: number; readonly sessionId: string }[] = []
  session.on('NodeWorker.attachedToWorker', ({ params: { workerInfo, sessionId } }) => {
    const [, thread, named] = /^\[worker (\d+)\] (.*)$/.exec(workerInfo.title) ?? []
    if (named === name) found.push({ thread: Number(thread), sessionId })
  })
  await new Promise((resolve) => session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, resolve))
  await until(`a thread named ${name}`, () => found.length > 0)
  const { sessionId } = found.toSorted((a, b) => a.thread - b.thread)[0]!
  const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } })
  session.post('NodeWorker.sendMessageToWorker', { sessionId, message })
  await sleep(DETACH_MS)
  session.disconnect()
}
