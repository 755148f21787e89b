/** Runs code inside a live thread, as a debugger would: how tests make one die or stand still. */
import { Session } from 'node:inspector'
import { until } from '../support/until.ts'

/** In the oldest thread of that name (a spare is younger than the thread that answers). Resolves when the code has begun. */
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
  let begun = false
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
    begun ||= message.includes('Runtime.bindingCalled')
  })
  const send = (method: string, params: object): void => {
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify({ id: 1, method, params }) })
  }
  send('Runtime.enable', {})
  send('Runtime.addBinding', { name: 'begun' })
  send('Runtime.evaluate', { expression: `begun(''); ${expression}` })
  await until(`the thread named ${name} has begun it`, () => begun)
  session.disconnect() // it would wait for a debugger before it ends
}
