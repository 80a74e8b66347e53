package dev.promptresolver.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.promptresolver.PromptResolverException;
import io.grpc.Status;
import java.util.concurrent.CancellationException;

/** How failures are told to the suite. */
final class Errors {
  private Errors() {}

  static JsonObject tell(Exception failure) {
    if (failure instanceof PromptResolverException told) {
      return tell(told);
    }
    return tell(PromptResolverException.of(status(failure).withCause(failure).asRuntimeException()));
  }

  /** Returns what Java's own exceptions say. */
  private static Status status(Exception failure) {
    if (failure instanceof CancellationException) {
      return Status.CANCELLED;
    }
    return failure instanceof IllegalArgumentException
        ? Status.INVALID_ARGUMENT.withDescription(failure.getMessage())
        : Status.UNKNOWN;
  }

  private static JsonObject tell(PromptResolverException failure) {
    var metadata = new JsonObject();
    failure.getMetadata().forEach(metadata::addProperty);
    var violations = new JsonArray();
    for (var violation : failure.getViolations()) {
      var each = new JsonObject();
      each.addProperty("field", violation.getField());
      each.addProperty("description", violation.getDescription());
      violations.add(each);
    }
    var error = new JsonObject();
    error.addProperty("code", failure.getCode().name());
    error.addProperty("message", failure.getDescription());
    error.addProperty("reason", failure.getReason());
    error.addProperty("domain", failure.getDomain());
    error.add("metadata", metadata);
    error.add("violations", violations);
    error.add(
        "retry_after_ms",
        failure
            .getRetryAfter()
            .<JsonElement>map(pause -> new JsonPrimitive(pause.toMillis()))
            .orElse(JsonNull.INSTANCE));
    return error;
  }
}
