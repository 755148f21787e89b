/** A node starts whatever is wrong with the disk: it serves what it can, and says what it cannot. */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DNS_PORT, HTTP_PORT, NodeProcess, Scene, VIPS } from '../support/scene.ts'
import { until } from '../support/until.ts'

let scene: Scene
const nodes: NodeProcess[] = []
beforeEach(() => {
  scene = new Scene()
  scene.write(
    'services.yaml',
    `web:\n  sites:\n    fra: {vips: [${VIPS.fra}]}\n    iad: {vips: [${VIPS.iad}]}\n  check: none\n`,
  )
  chmodSync(scene.folder, 0o755)
})
afterEach(async () => {
  for (const node of nodes) node.kill('SIGKILL')
  await Promise.all(nodes.splice(0).map((node) => node.ended))
  await scene.close()
})

const isRoot = process.getuid?.() === 0

/** Node `n` of the scene, at an address of its own, run through `via`. */
function start(n: number, state: string, via: readonly string[] = []): NodeProcess {
  const at = scene.address(n)
  const more = { state, listen: `${at}:${DNS_PORT}`, 'http-listen': `${at}:${HTTP_PORT}`, 'node-name': `n${n}` }
  const node = new NodeProcess(['serve', ...scene.flags(more)], state, { via })
  nodes.push(node)
  return node
}

const answer = async (n: number): Promise<string | undefined> =>
  (await scene.dig(undefined, `@${scene.address(n)}`, 'www.demo.example', 'A')).answer[0]
const get = async (n: number, path: string): Promise<string> =>
  (await fetch(`http://${scene.address(n)}:${HTTP_PORT}${path}`)).text()

/** Runs the command in a mount namespace of its own, with `mount` done: it ends with the process. */
const mounted = (mount: string): readonly string[] => ['unshare', '--mount', 'sh', '-c', `${mount} && exec "$@"`, 'sh']

test('a state folder of no use costs what is kept there, and no answer', async () => {
  const folder = (name: string): string => {
    mkdirSync(join(scene.folder, name))
    return join(scene.folder, name)
  }
  const [full, fixed, foreign] = [folder('full'), folder('fixed'), folder('foreign')]
  const unprivileged = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const fill = `mount -t tmpfs -o size=64k,nr_inodes=3 none ${full} && (cat /dev/zero > ${full}/x 2>/dev/null; touch ${full}/y || true)`
  const faults: readonly (readonly [state: string, why: RegExp, via?: readonly string[]])[] = [
    [join(scene.city, 'state'), /ENOTDIR|EEXIST/],
    [join(scene.folder, 'x'.repeat(120)), /at most 107 fit/],
    ...(isRoot
      ? ([
          [full, /ENOSPC/, mounted(fill)],
          [fixed, /EROFS/, mounted(`mount --bind ${fixed} ${fixed} && mount -o remount,ro,bind ${fixed}`)],
          [foreign, /EACCES/, unprivileged],
        ] as const)
      : []),
  ]
  const started = faults.map(([state, why, via], i) => ({ n: i, state, why, node: start(i, state, via) }))
  await Promise.all(
    started.map(async ({ n, state, why, node }) => {
      await until(`an answer with ${state}`, async () => {
        expect(node.runs, node.err).toBe(true)
        return (await answer(n).catch(() => undefined)) === VIPS.fra
      })
      const told = () => node.lines.filter(({ level, msg }) => level === 'warn' && msg.includes('control socket'))
      await until('the warning', () => told().length > 0) // threads may answer before its line has come
      expect(told()).toEqual([expect.objectContaining({ msg: expect.stringMatching(why) })])
      expect(Number(/^meridian_state_troubles (\d+)$/m.exec(await get(n, '/metrics'))?.[1])).toBeGreaterThan(0)
      expect(node.err).toBe('')
    }),
  )
})
