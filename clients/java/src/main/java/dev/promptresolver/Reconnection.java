package dev.promptresolver;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Has a server that cannot be reached tried again about every second.
 *
 * <p>By itself gRPC waits longer after each attempt, up to two minutes: a server that was restarted
 * would not be found before the deadlines of the calls that wait for it.
 */
final class Reconnection {
  private static final Executor LATER = CompletableFuture.delayedExecutor(1, TimeUnit.SECONDS);

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
      LATER.execute(this::tryAgain);
    } else if (state != ConnectivityState.SHUTDOWN) {
      channel.notifyWhenStateChanged(state, this::look);
    }
  }

  private void tryAgain() {
    channel.resetConnectBackoff();
    look();
  }
}
