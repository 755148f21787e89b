/** Runs code inside a live answering thread, as a debugger would: how tests make one die or stand still. */
import { Session } from 'node:inspector'

/** In the first thread of that name that answers (a spare doesn't: it has no assignment). Returns at once. */
export async function runInThread(name: string, expression: string): Promise<void> {
  const session = new Session()
  session.connect()
  const found = new Promise<string>((resolve) => {
    session.on('NodeWorker.attachedToWorker', ({ params }) => {
      // threads are attached in the order they were started
      if (params.workerInfo.title.includes(name)) resolve(params.sessionId)
    })
  })
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  const sessionId = await found
  const message = JSON.stringify({
    id: 1,
    method: 'Runtime.evaluate',
    params: { expression, includeCommandLineAPI: true },
  })
  session.post('NodeWorker.sendMessageToWorker', { sessionId, message })
}
