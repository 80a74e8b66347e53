package dev.promptresolver;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Has a server that cannot be reached tried again within a second, and not at the same time as by
 * others.
 *
 * <p>By itself gRPC waits longer after each attempt, up to two minutes, which no builder of its
 * channels lets be changed: a server that was restarted would not be found before the deadlines of
 * the calls that wait for it.
 */
final class Reconnection {
  private static final long SHORTEST_PAUSE_MS = 400;
  private static final long LONGEST_PAUSE_MS = 800;

  private final ManagedChannel channel;

  private Reconnection(ManagedChannel channel) {
    this.channel = channel;
  }

  /** Begins, until the channel is shut down. */
  static void keepUp(ManagedChannel channel) {
    new Reconnection(channel).look();
  }

  private void look() {
    var state = channel.getState(false);
    if (state == ConnectivityState.TRANSIENT_FAILURE) {
      later().execute(this::tryAgain);
    } else if (state != ConnectivityState.SHUTDOWN) {
      channel.notifyWhenStateChanged(state, this::look);
    }
  }

  private static Executor later() {
    var pause = ThreadLocalRandom.current().nextLong(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS);
    return CompletableFuture.delayedExecutor(pause, TimeUnit.MILLISECONDS);
  }

  private void tryAgain() {
    channel.resetConnectBackoff();
    look();
  }
}
