import { useEffect, useRef } from 'preact/hooks';
import { isStill } from './theme.ts';

/** A straight part of a pipe, in the units of the picture. */
export interface Pipe {
  readonly x: number;
  readonly y: number;
  readonly length: number;
  readonly isVertical: boolean;
}

/** How far the pattern of drops repeats, in pixels. */
const PERIOD = 14;

/** Returns how fast a rate looks: it is logarithmic, and 0 stands still. */
export function speedOf(rate: number | null): number {
  return rate === null || rate <= 0 ? 0 : 0.2 + 0.4 * Math.log10(1 + rate);
}

/**
 * Moves an element at a speed, without a layout or a paint: the browser composes its transform.
 * Moves nothing for an operator who wants no movement.
 */
export function useMotion(keyframes: Keyframe[], duration: number, speed: number) {
  const element = useRef<HTMLElement & SVGSVGElement>(null);
  const animation = useRef<Animation | undefined>(undefined);
  const still = isStill.value;
  useEffect(() => {
    if (still) return undefined;
    const started = element.current?.animate(keyframes, { duration, iterations: Infinity });
    started?.pause();
    animation.current = started;
    return () => {
      started?.cancel();
      animation.current = undefined;
    };
  }, [still, keyframes]);
  useEffect(() => {
    if (speed === 0) animation.current?.pause();
    else {
      animation.current?.updatePlaybackRate(speed);
      animation.current?.play();
    }
  }, [speed, still, keyframes]);
  return element;
}

const TO_THE_RIGHT = [{ transform: 'translateX(0)' }, { transform: `translateX(${PERIOD}px)` }];
const DOWN = [{ transform: 'translateY(0)' }, { transform: `translateY(${PERIOD}px)` }];

/** Drops that run through a pipe, at the speed of a rate. */
export function Flow({ pipe, rate, size }: { pipe: Pipe; rate: number | null; size: readonly [number, number] }) {
  const { x, y, length, isVertical } = pipe;
  const drops = useMotion(isVertical ? DOWN : TO_THE_RIGHT, 1000, speedOf(rate));
  const percent = (value: number, of: number) => `${(100 * value) / of}%`;
  const style = isVertical
    ? { left: percent(x, size[0]), top: percent(y, size[1]), height: percent(length, size[1]) }
    : { left: percent(x, size[0]), top: percent(y, size[1]), width: percent(length, size[0]) };
  return (
    <span class="flow" data-vertical={isVertical} data-running={speedOf(rate) > 0} style={style}>
      <i ref={drops} />
    </span>
  );
}
