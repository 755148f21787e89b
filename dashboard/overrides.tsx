/** The overrides in force: who, why, since when, until when, and the way to undo each. */
import type { OverrideStatus } from '../src/health/node-health.ts'
import { type Draft, forceInWords, type InForce } from './draft.ts'
import { Age, Sign } from './parts.tsx'
import { time } from './words.ts'

const isForced = ({ action }: InForce): boolean => action === 'up' || action === 'down'

const stateOf = (override: InForce): 'up' | 'forced' | 'drained' =>
  isForced(override) ? (override.action === 'up' ? 'up' : 'forced') : 'drained'

/** `onUndo`: fills in what undoes one of them. */
export function Overrides(props: {
  readonly overrides: readonly OverrideStatus[]
  readonly onUndo: (undoing: Pick<Draft, 'pattern' | 'action' | 'over' | 'why'>) => void
}) {
  const { overrides, onUndo } = props
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Overrides in force">
      <table>
        <thead>
          <tr>
            <th scope="col">what</th>
            <th scope="col">who, why</th>
            <th scope="col">since</th>
            <th scope="col">until</th>
            <th scope="col">
              <span class="unseen">undo</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {overrides.map(({ override, orphaned }) => (
            <tr key={override.pattern} data-pattern={override.pattern}>
              <th scope="row">
                <Sign state={stateOf(override)} /> <span class="name">{override.pattern}</span> {forceInWords(override)}
                {orphaned && <span class="odd"> matches no member</span>}
              </th>
              <td class="wrap">
                {override.who}: {override.why}
              </td>
              <td>
                <Age sinceMs={override.madeMs} />
              </td>
              <td class="number">{override.untilMs === null ? 'undone' : time(override.untilMs)}</td>
              <td>
                <button
                  type="button"
                  class="plain"
                  onClick={() =>
                    onUndo({
                      pattern: override.pattern,
                      action: isForced(override) ? 'off' : 'undrain',
                      over: '',
                      why: '',
                    })
                  }
                >
                  Undo …
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
