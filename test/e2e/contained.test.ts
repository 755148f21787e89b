/** A fault of Meridian itself, in whatever handler of the main thread, ends no answering: it is logged, counted and shown. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { processInWords } from '../../src/cli/words/process.ts'
import { NodeProcess, Scene } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
let node: NodeProcess | undefined
beforeEach(() => {
  scene = new Scene()
})
afterEach(async () => {
  node?.kill('SIGKILL')
  await node?.ended
  await scene.close()
})

/** Runs in the process before it: a handler of a signal with a bug in each kind of callback. */
function startWith(fault: string): NodeProcess {
  const file = join(scene.folder, 'fault.mjs')
  writeFileSync(file, `import { isMainThread } from 'node:worker_threads'\nif (isMainThread) ${fault}\n`)
  const args = ['serve', ...scene.flags({ 'probe-enabled': 'true' })]
  node = new NodeProcess(args, scene.state, { env: { NODE_OPTIONS: `--import=${file}` } })
  return node
}

test('timers, events and promises that fail: answers go on, the log has the stack, status and metrics tell', async () => {
  const started = startWith(`process.on('SIGUSR2', () => {
    setTimeout(() => { throw new TypeError('of a timer') })
    setImmediate(() => Promise.reject(new Error('of a promise')))
    process.nextTick(() => new EventTarget().dispatchEvent(undefined))
  })`)
  await started.ready()
  started.kill('SIGUSR2')
  const status = await until('the faults', async () => {
    const faults = Number(/^meridian_faults_total (\d+)$/m.exec(await started.metrics())?.[1])
    return faults === 3 ? started.status() : undefined
  })
  expect(status.node.fault).toMatch(
    /^a fault of Meridian itself \d+ s ago, the last of 3: \w*Error: of a .*; please report it/,
  )
  expect(processInWords(status.node)).toHaveLength(2)
  const [told] = started.lines.filter(({ level }) => level === 'error')
  expect(told).toMatchObject({
    msg: expect.stringContaining('answers go on'),
    stack: expect.stringContaining('fault.mjs'),
  })
  const { answer } = await scene.dig(undefined, 'static.demo.example', 'A')
  expect(answer).toEqual(['192.0.2.80'])
  started.kill('SIGTERM')
  expect(await started.ended).toBe(0)
})

test('at the start a fault is fatal', async () => {
  const started = startWith(`setTimeout(() => { throw new TypeError('at the start') }, 100)`)
  expect(await started.ended).not.toBe(0)
  expect(started.err).toContain('at the start')
})
